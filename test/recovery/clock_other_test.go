//go:build !linux

package recovery

import "time"

// monotonic is the wall clock where there is no other one that processes share: leave it alone while tests run.
func monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }
