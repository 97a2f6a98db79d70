package memory

import (
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// run runs one command of the client. It reports whether the connection goes on.
func (c *conn) run(args []string) bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return false
	}
	s.calls[strings.ToUpper(args[0])]++
	s.data.at(time.Now())
	if reply := c.reply(args); reply != nil {
		c.answer(args, reply)
	}
	s.settle()
	return !c.leaving
}

// reply runs a command, which may be of the connection's own, or one that waits. Nil: everything was said. The server's mutex is
// held, but not while a command waits.
func (c *conn) reply(args []string) stream.Reply {
	name := strings.ToUpper(args[0])
	if own, ok := ofConnections[name]; ok {
		if err := own.check(c, name, args); err != "" {
			c.dirty = true
			return err
		}
		if c.queued == nil || own.inTransaction {
			return own.run(c, args)
		}
	}
	switch {
	case !c.granted && c.server.password != "":
		return errLogin
	case len(c.channels)+len(c.patterns) > 0 && !c.resp3:
		return errSubscribed(name)
	case c.queued != nil:
		return c.queue(args)
	}
	if s := c.server; waits(name, args) {
		return s.wait(c, args)
	}
	return c.server.data.call(args, c.resp3)
}

// answer sends a reply and counts it.
func (c *conn) answer(args []string, reply stream.Reply) {
	text := encode(reply, c.resp3)
	c.server.data.count.reply(args, text)
	c.tell(args, text)
	c.say(text)
}

// settle does what follows from a command: who waited for what it wrote is served, and the next expiry is set.
func (s *Server) settle() {
	s.serveWaiting()
	s.tell()
	s.arm()
}
