package journal

import (
	"syscall"
	"time"
	"unsafe"
)

// Monotonic returns CLOCK_MONOTONIC. It keeps running while the process is stopped, and all processes of the machine share it.
func Monotonic() time.Duration {
	const clockMonotonic = 1
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic(errno)
	}
	return time.Duration(ts.Nano())
}
