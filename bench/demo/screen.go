package main

import (
	"fmt"
	"io"
	"time"
)

// screen is the output of the demo. On a terminal the live line is overwritten, else there is a new one each second.
type screen struct {
	out      io.Writer
	terminal bool
	live     bool // the cursor is at the end of a live line
}

func newScreen(out io.Writer, terminal bool) *screen { return &screen{out: out, terminal: terminal} }

// period is the time between two writes of the live line.
func (s *screen) period() time.Duration {
	if s.terminal {
		return 250 * time.Millisecond
	}
	return time.Second
}

// say writes a line that stays.
func (s *screen) say(format string, args ...any) {
	s.endLive()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// show writes the live line. The terminal cuts off what does not fit its width, since a wrapped line cannot be overwritten.
func (s *screen) show(line string) {
	if !s.terminal {
		fmt.Fprintln(s.out, line)
		return
	}
	fmt.Fprint(s.out, "\r\x1b[2K\x1b[?7l", line, "\x1b[?7h")
	s.live = true
}

func (s *screen) endLive() {
	if s.live {
		fmt.Fprintln(s.out)
		s.live = false
	}
}
