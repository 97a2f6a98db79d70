package memory

import (
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// ofConnection is a command that has to do with the connection that sent it; scripts have none of these.
type ofConnection struct {
	arity         int  // with the name; if negative, the least
	inTransaction bool // runs at once in a transaction, too
	run           func(c *conn, args []string) stream.Reply
}

// beforeLogin is what a client may send before it has given the password.
var beforeLogin = map[string]bool{"AUTH": true, "HELLO": true, "QUIT": true, "RESET": true}

// whileSubscribed is what a connection that is subscribed may send besides, in version 2 of the protocol.
var whileSubscribed = map[string]bool{"PING": true, "QUIT": true, "RESET": true,
	"SUBSCRIBE": true, "UNSUBSCRIBE": true, "PSUBSCRIBE": true, "PUNSUBSCRIBE": true}

var ofConnections map[string]ofConnection

func init() {
	ofConnections = map[string]ofConnection{
		"AUTH":         {-2, false, auth},
		"HELLO":        {-1, false, hello},
		"QUIT":         {-1, true, quit},
		"RESET":        {1, true, reset},
		"PING":         {-1, false, ping},
		"SELECT":       {2, false, selectDB},
		"CLIENT":       {-2, false, client},
		"MULTI":        {1, true, multi},
		"EXEC":         {1, true, exec},
		"DISCARD":      {1, true, discard},
		"WATCH":        {-2, true, watch},
		"UNWATCH":      {1, false, func(*conn, []string) stream.Reply { return ok }},
		"SUBSCRIBE":    {-2, false, subscribe},
		"UNSUBSCRIBE":  {-1, false, unsubscribe},
		"PSUBSCRIBE":   {-2, false, subscribe},
		"PUNSUBSCRIBE": {-1, false, unsubscribe},
		"SHUTDOWN":     {-1, false, shutdown},
		"MONITOR":      {1, false, refused},
		"SYNC":         {1, false, refused},
		"PSYNC":        {-1, false, refused},
		"REPLICAOF":    {3, false, refused},
		"SLAVEOF":      {3, false, refused},
	}
}

func (o ofConnection) check(c *conn, name string, args []string) stream.Error {
	switch n := len(args); {
	case o.arity > 0 && n != o.arity || n < -o.arity:
		return errArity(name)
	case c.server.password != "" && !c.granted && !beforeLogin[name]:
		return errLogin
	case len(c.channels)+len(c.patterns) > 0 && !c.resp3 && !whileSubscribed[name]:
		return errSubscribed(name)
	}
	return ""
}

const (
	ok       = stream.Simple("OK")
	errLogin = stream.Error("NOAUTH Authentication required.")
)

func errSubscribed(name string) stream.Error {
	return errorf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
		strings.ToLower(name))
}

// refused is for commands that have no meaning here.
func refused(_ *conn, args []string) stream.Reply {
	return errorf("ERR %s is not supported by this server in memory", strings.ToUpper(args[0]))
}

func auth(c *conn, args []string) stream.Reply {
	user, password := "default", args[len(args)-1]
	if len(args) > 3 {
		return errArity(args[0])
	}
	if len(args) == 3 {
		user = args[1]
	}
	if c.server.password == "" && len(args) == 2 {
		return stream.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	}
	return c.login(user, password)
}

func (c *conn) login(user, password string) stream.Reply {
	if user != "default" || c.server.password != "" && password != c.server.password {
		return stream.Error("WRONGPASS invalid username-password pair or user is disabled.")
	}
	c.granted = true
	return ok
}

func hello(c *conn, args []string) stream.Reply {
	resp3, name := c.resp3, c.name
	if len(args) > 1 {
		version, err := strconv.Atoi(args[1])
		if err != nil {
			return stream.Error("ERR Protocol version is not an integer or out of range")
		}
		if version != 2 && version != 3 {
			return stream.Error("NOPROTO unsupported protocol version")
		}
		resp3 = version == 3
	}
	for i := 2; i < len(args); i++ {
		switch left := len(args) - i - 1; {
		case strings.EqualFold(args[i], "AUTH") && left >= 2:
			if err, wrong := c.login(args[i+1], args[i+2]).(stream.Error); wrong {
				return err
			}
			i += 2
		case strings.EqualFold(args[i], "SETNAME") && left >= 1:
			name = args[i+1]
			i++
		default:
			return errorf("ERR Syntax error in HELLO option '%s'", args[i])
		}
	}
	if c.server.password != "" && !c.granted {
		return stream.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	}
	c.resp3, c.name = resp3, name
	proto := int64(2)
	if resp3 {
		proto = 3
	}
	return stream.Map{"server", "redis", "version", version, "proto", proto, "id", c.id, "mode", "standalone", "role", "master",
		"modules", []stream.Reply{}}
}

func quit(c *conn, _ []string) stream.Reply {
	c.leaving = true
	return ok
}

func reset(c *conn, _ []string) stream.Reply {
	c.server.unsubscribe(c)
	c.queued, c.name, c.resp3, c.granted = nil, "", false, false
	return stream.Simple("RESET")
}

func ping(c *conn, args []string) stream.Reply {
	switch {
	case len(args) > 2:
		return errArity(args[0])
	case len(c.channels)+len(c.patterns) > 0 && !c.resp3:
		return []stream.Reply{"pong", strings.Join(args[1:], "")}
	case len(args) == 2:
		return args[1]
	}
	return stream.Simple("PONG")
}

func selectDB(_ *conn, args []string) stream.Reply {
	n, err := strconv.Atoi(args[1])
	switch {
	case err != nil:
		return stream.Error("ERR value is not an integer or out of range")
	case n != 0:
		return stream.Error("ERR DB index is out of range: this server in memory has one database")
	}
	return ok
}

func shutdown(c *conn, _ []string) stream.Reply {
	if c.server.onShutdown == nil {
		return stream.Error("ERR SHUTDOWN is not supported by this server in memory")
	}
	go c.server.onShutdown()
	return nil
}
