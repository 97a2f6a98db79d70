package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Cores is how long the processors of this machine have been busy, and how long they have run in all, in ticks of the kernel.
type Cores struct{ busy, all int64 }

// ReadCores needs /proc.
func ReadCores() (c Cores, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	const idle, iowait, steal = 4, 5, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return c, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, field := range fields[1 : steal+1] { // the fields after these are included in them
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return c, fmt.Errorf("/proc/stat: %w", err)
		}
		c.all += n
		if i+1 != idle && i+1 != iowait {
			c.busy += n
		}
	}
	return c, nil
}

// Since is the share of the processors that was used after an earlier reading, from 0 to 1.
func (c Cores) Since(earlier Cores) float64 {
	if c.all <= earlier.all {
		return 0
	}
	return float64(c.busy-earlier.busy) / float64(c.all-earlier.all)
}
