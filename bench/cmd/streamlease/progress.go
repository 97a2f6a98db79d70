package main

import (
	"fmt"
	"io"
	"time"

	"github.com/streamlease/streamlease/bench/bar"
)

// steps shows on stderr how far long work is: as a bar on a terminal, else as a line now and then.
type steps struct {
	errs io.Writer
	what string
	last time.Time // of the last line, or the beginning
	bar  *bar.Bar  // on a terminal
}

// steps shows the progress of work of so many steps, 0 if that is unknown, until end is called.
func (c *call) steps(what string, total int) *steps {
	s := &steps{errs: c.errs, what: what, last: time.Now()}
	if c.screen(c.errs).terminal {
		s.bar = bar.New(c.errs, what, total, false)
	}
	return s
}

// at shows that so many of all steps are done, and what there is to say.
func (s *steps) at(done, total int, format string, args ...any) {
	text := visible(fmt.Sprintf(format, args...))
	if s.bar != nil {
		s.bar.Total(total)
		s.bar.Reach(done, s.what+": "+text)
		return
	}
	if now := time.Now(); now.Sub(s.last) >= time.Second/2 {
		s.last = now
		fmt.Fprintf(s.errs, "%s: %d of %d: %s\n", s.what, done, total, text)
	}
}

// end takes the bar off. It may be called more than once.
func (s *steps) end() { s.bar.End() }
