package main

import (
	"fmt"
	"io"
	"time"
)

// screen is where the demo speaks: on a terminal the live line is written over, else it is a line a second.
type screen struct {
	out      io.Writer
	terminal bool
	live     bool // the cursor is at the end of a live line
}

func newScreen(out io.Writer, terminal bool) *screen { return &screen{out: out, terminal: terminal} }

// period is how often the live line is to be written.
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

// show writes the live line. What does not fit a terminal's width is cut off there: a line that wraps cannot be written
// over.
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
