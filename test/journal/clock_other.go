//go:build !linux

package journal

import "time"

// Monotonic is the wall clock where there is no other one that processes share: leave it alone while they run.
func Monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }
