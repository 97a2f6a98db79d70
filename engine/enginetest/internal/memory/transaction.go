package memory

import (
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

func multi(c *conn, _ []string) stream.Reply {
	if c.queued != nil {
		return stream.Error("ERR MULTI calls can not be nested")
	}
	c.queued, c.dirty = [][]string{}, false
	return ok
}

func discard(c *conn, _ []string) stream.Reply {
	if c.queued == nil {
		return stream.Error("ERR DISCARD without MULTI")
	}
	c.queued = nil
	return ok
}

// exec runs what was queued, at one moment.
func exec(c *conn, _ []string) stream.Reply {
	if c.queued == nil {
		return stream.Error("ERR EXEC without MULTI")
	}
	queued := c.queued
	c.queued = nil
	if c.dirty {
		return stream.Error("EXECABORT Transaction discarded because of previous errors.")
	}
	// Written one by one: what a command says is encoded before the next one may change what it stands on.
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(queued))
	for _, args := range queued {
		text := encode(c.within(args), c.resp3)
		c.server.data.count.reply(args, text)
		b.WriteString(text)
	}
	return raw(b.String())
}

// within runs a command of a transaction. It waits for nothing.
func (c *conn) within(args []string) stream.Reply {
	name := strings.ToUpper(args[0])
	if own, ok := ofConnections[name]; ok {
		return own.run(c, args)
	}
	if waits(name, args) {
		reply, _ := c.server.try(args, c.resp3)
		return reply
	}
	return c.server.data.call(args, c.resp3)
}

func (c *conn) queue(args []string) stream.Reply {
	name := strings.ToUpper(args[0])
	if _, own := ofConnections[name]; !own && !c.server.data.knows(name) {
		c.dirty = true
		return errUnknown(args)
	}
	c.queued = append(c.queued, args)
	return stream.Simple("QUEUED")
}

// watch refuses: a transaction here runs always, and nobody should think that it does not.
func watch(*conn, []string) stream.Reply {
	return stream.Error("ERR WATCH is not supported by this server in memory: use a script")
}
