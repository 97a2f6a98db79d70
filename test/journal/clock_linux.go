package journal

import (
	"syscall"
	"time"
	"unsafe"
)

// Monotonic is CLOCK_MONOTONIC: it runs through stops of the process, and is the same for all processes of the machine.
func Monotonic() time.Duration {
	const clockMonotonic = 1
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic(errno)
	}
	return time.Duration(ts.Nano())
}
