package memory

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// waiter is a command that waits until a key has what it asks for.
type waiter struct {
	conn *conn
	args []string
	keys []string
	none stream.Reply  // when nothing came
	done chan struct{} // closed when it was answered
}

// waits reports whether a command may wait.
func waits(name string, args []string) bool {
	switch name {
	case "XREAD", "XREADGROUP":
		_, blocks := blockOf(args)
		return blocks
	}
	return popping[name] != nil
}

// wait runs a command that may wait. It returns nil if somebody else answered it, or if the connection has ended. The server's
// mutex is held, but not while it waits.
func (s *Server) wait(c *conn, args []string) stream.Reply {
	args = slices.Clone(args)
	reply, none := s.try(args, c.resp3)
	if !none {
		return reply
	}
	limit, err := limitOf(args)
	if err != "" {
		return err
	}
	c.tell(args, "")
	s.pin(args)
	w := &waiter{conn: c, args: args, keys: keysOf(args), none: reply, done: make(chan struct{})}
	c.waits = w
	s.waiting = append(s.waiting, w)
	var timeout <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeout = timer.C
	}
	s.settle()
	s.mu.Unlock()
	select {
	case <-w.done:
	case <-timeout:
	case <-c.ended:
	}
	s.mu.Lock()
	return s.leave(w)
}

// leave ends a waiter's wait, and returns its reply unless it has been answered.
func (s *Server) leave(w *waiter) stream.Reply {
	at := slices.Index(s.waiting, w)
	if at < 0 {
		return nil
	}
	w.conn.waits = nil
	s.waiting = slices.Delete(s.waiting, at, at+1) // a round of serveWaiting has a copy
	if s.down {
		return nil
	}
	s.data.at(time.Now())
	return w.none
}

// unblock answers a waiter now.
func (s *Server) unblock(w *waiter, reply stream.Reply) {
	s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter) bool { return other == w })
	w.conn.waits = nil
	w.conn.answer(w.args, reply)
	close(w.done)
}

// serveWaiting answers who waits for a key that was written, the first first. What they take may be written elsewhere.
func (s *Server) serveWaiting() {
	for len(s.data.written) > 0 && len(s.waiting) > 0 {
		written := s.data.written
		s.data.written = nil
		for _, w := range slices.Clone(s.waiting) {
			if !slices.ContainsFunc(w.keys, func(key string) bool { return slices.Contains(written, key) }) {
				continue
			}
			if reply, none := s.try(w.args, w.conn.resp3); !none {
				s.unblock(w, reply)
			}
		}
	}
	s.data.written = nil
}

// try runs a command that may wait, without waiting. It reports whether there was nothing for it.
func (s *Server) try(args []string, resp3 bool) (reply stream.Reply, none bool) {
	name := strings.ToUpper(args[0])
	if pop := popping[name]; pop != nil {
		s.data.count.call(args)
		return pop(s.data, args, resp3)
	}
	reply = s.data.call(args, resp3)
	_, none = reply.(stream.NullArray)
	return reply, none
}

// pin replaces "$" of an XREAD by what it means now, so that it means the same when the command looks again.
func (s *Server) pin(args []string) {
	if !strings.EqualFold(args[0], "XREAD") {
		return
	}
	names := keysOf(args)
	ids := args[len(args)-len(names):]
	for i, id := range ids {
		if id == "$" {
			ids[i] = "0-0"
			if found := s.data.streams[names[i]]; found != nil {
				ids[i] = found.LastID()
			}
		}
	}
}

// keysOf returns the keys that a command waits for.
func keysOf(args []string) []string {
	switch name := strings.ToUpper(args[0]); name {
	case "XREAD", "XREADGROUP":
		for i, a := range args {
			if strings.EqualFold(a, "STREAMS") {
				return args[i+1 : i+1+(len(args)-i-1)/2]
			}
		}
		return nil
	case "BRPOPLPUSH", "BLMOVE":
		return args[1:2]
	default:
		return args[1 : len(args)-1]
	}
}

// blockOf returns the argument of BLOCK of an XREAD or XREADGROUP, and whether there is one.
func blockOf(args []string) (ms string, blocks bool) {
	for i, a := range args {
		switch {
		case strings.EqualFold(a, "STREAMS"):
			return "", false
		case strings.EqualFold(a, "BLOCK") && i+1 < len(args):
			return args[i+1], true
		}
	}
	return "", false
}

// limitOf returns how long a command waits, 0 for no limit.
func limitOf(args []string) (time.Duration, stream.Error) {
	if ms, blocks := blockOf(args); blocks {
		n, _ := strconv.ParseInt(ms, 10, 64) // the command has checked it
		return time.Duration(n) * time.Millisecond, ""
	}
	seconds, err := strconv.ParseFloat(args[len(args)-1], 64)
	switch {
	case err != nil || seconds > 1e9 || seconds != seconds:
		return 0, "ERR timeout is not a float or out of range"
	case seconds < 0:
		return 0, "ERR timeout is negative"
	}
	// Redis rounds up to a millisecond.
	return (time.Duration(seconds*1e9) + time.Millisecond - 1).Truncate(time.Millisecond), ""
}
