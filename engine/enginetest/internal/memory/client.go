package memory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// client runs the subcommands of CLIENT that clients send by themselves.
func client(c *conn, args []string) stream.Reply {
	sub, rest := strings.ToUpper(args[1]), args[2:]
	switch {
	case sub == "ID" && len(rest) == 0:
		return c.id
	case sub == "GETNAME" && len(rest) == 0:
		if c.name == "" {
			return stream.Null{}
		}
		return c.name
	case sub == "SETNAME" && len(rest) == 1:
		if strings.ContainsFunc(rest[0], func(r rune) bool { return r < '!' || r > '~' }) {
			return stream.Error("ERR Client names cannot contain spaces, newlines or special characters.")
		}
		c.name = rest[0]
		return ok
	case sub == "INFO" && len(rest) == 0:
		return c.line()
	case sub == "LIST":
		return c.server.clients()
	case sub == "NO-EVICT" && len(rest) == 1:
		return ok
	case sub == "UNBLOCK" && (len(rest) == 1 || len(rest) == 2):
		return unblock(c.server, rest)
	case sub == "TRACKING":
		return stream.Error("ERR CLIENT TRACKING is not supported by this server in memory: disable the cache of the client")
	case sub == "KILL", sub == "PAUSE", sub == "UNPAUSE", sub == "REPLY", sub == "CACHING":
		return errorf("ERR CLIENT %s is not supported by this server in memory", sub)
	case sub == "ID", sub == "GETNAME", sub == "SETNAME", sub == "INFO", sub == "NO-EVICT", sub == "UNBLOCK":
		return errArity("client|" + sub)
	}
	return errSubcommand(args)
}

func errSubcommand(args []string) stream.Error {
	return errorf("ERR unknown subcommand '%.128s'. Try %s HELP.", args[1], strings.ToUpper(args[0]))
}

// unblock ends the wait of another connection: CLIENT UNBLOCK id [TIMEOUT|ERROR].
func unblock(s *Server, rest []string) stream.Reply {
	id, err := strconv.ParseInt(rest[0], 10, 64)
	if err != nil {
		return stream.Error("ERR value is not an integer or out of range")
	}
	failed := len(rest) == 2 && strings.EqualFold(rest[1], "ERROR")
	if len(rest) == 2 && !failed && !strings.EqualFold(rest[1], "TIMEOUT") {
		return stream.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	}
	for c := range s.conns {
		if c.id != id || c.waits == nil {
			continue
		}
		reply := c.waits.none
		if failed {
			reply = stream.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
		}
		s.unblock(c.waits, reply)
		return int64(1)
	}
	return int64(0)
}

func (c *conn) line() string {
	resp := 2
	if c.resp3 {
		resp = 3
	}
	return fmt.Sprintf("id=%d addr=%s name=%s db=0 sub=%d psub=%d resp=%d\n", c.id, c.pipe.RemoteAddr(), c.name, len(c.channels), len(c.patterns), resp)
}

func (s *Server) clients() string {
	var b strings.Builder
	for id := int64(1); id <= s.connections; id++ {
		for c := range s.conns {
			if c.id == id {
				b.WriteString(c.line())
			}
		}
	}
	return b.String()
}
