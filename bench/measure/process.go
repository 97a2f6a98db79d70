package measure

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// CPU is the processor time, user and system, that this process has used so far.
func CPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// Heap is the size of live objects in bytes, after collections that also free what finalizers and pools keep for a while.
func Heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Memory is the size in bytes of live objects, as Heap measures it, and of the stacks of goroutines.
func Memory() uint64 {
	live := Heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return live + m.StackInuse
}

// RSS is the resident memory of this process in bytes. It needs /proc.
func RSS() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}
