package stream

import (
	"errors"
	"strings"
	"time"
)

// Keys is the keyspace as stream commands see it.
type Keys interface {
	// Stream returns the stream at a key, nil if there is no such key, and the error of Redis if the key is of another type.
	Stream(key string) (*Stream, error)
	// Create makes a stream at a key that does not exist.
	Create(key string) *Stream
}

// Do runs a stream command; args are its name and arguments as a client sends them. ok is false if it is none. now is the server's
// time. XREAD and XREADGROUP never block: BLOCK is parsed, checked and ignored, and the reply without entries is [NullArray].
func Do(keys Keys, now time.Time, args []string) (reply Reply, ok bool) {
	if len(args) == 0 {
		return nil, false
	}
	name := strings.ToLower(args[0])
	cmd, ok := commands[name]
	if !ok {
		return nil, false
	}
	c := &call{keys: keys, now: now.UnixMilli(), args: args, name: name}
	reply, err := cmd.run(c)
	if err != nil {
		return asError(err), true
	}
	return reply, true
}

func asError(err error) Error {
	var own Error
	if errors.As(err, &own) {
		return own
	}
	return Error(err.Error())
}

// command is a command or a subcommand. Arity counts the names; if negative, it is the least number of arguments.
type command struct {
	arity int
	do    func(*call) (Reply, error)
	subs  map[string]command
}

var commands = map[string]command{
	"xadd":       {arity: -5, do: xadd},
	"xlen":       {arity: 2, do: xlen},
	"xrange":     {arity: -4, do: xrange},
	"xrevrange":  {arity: -4, do: xrange},
	"xdel":       {arity: -3, do: xdel},
	"xtrim":      {arity: -4, do: xtrim},
	"xsetid":     {arity: -3, do: xsetid},
	"xread":      {arity: -4, do: xread},
	"xreadgroup": {arity: -7, do: xread},
	"xack":       {arity: -4, do: xack},
	"xpending":   {arity: -3, do: xpending},
	"xclaim":     {arity: -6, do: xclaim},
	"xautoclaim": {arity: -6, do: xautoclaim},
	"xgroup": {arity: -2, subs: map[string]command{
		"create":         {arity: -5, do: xgroupCreate},
		"setid":          {arity: -5, do: xgroupSetID},
		"destroy":        {arity: 4, do: xgroupDestroy},
		"createconsumer": {arity: 5, do: xgroupCreateConsumer},
		"delconsumer":    {arity: 5, do: xgroupDelConsumer},
		"help":           {arity: 2, do: xgroupHelp},
	}},
	"xinfo": {arity: -2, subs: map[string]command{
		"stream":    {arity: -3, do: xinfoStream},
		"groups":    {arity: 3, do: xinfoGroups},
		"consumers": {arity: 4, do: xinfoConsumers},
		"help":      {arity: 2, do: xinfoHelp},
	}},
}

func (cmd command) run(c *call) (Reply, error) {
	if cmd.subs != nil && len(c.args) > 1 {
		name := strings.ToLower(c.args[1])
		sub, ok := cmd.subs[name]
		if !ok {
			return nil, errorf("ERR unknown subcommand '%s'. Try %s HELP.", short(c.args[1]), strings.ToUpper(c.name))
		}
		c.name += "|" + name
		return sub.run(c)
	}
	if n := len(c.args); cmd.do == nil || cmd.arity > 0 && n != cmd.arity || n < -cmd.arity {
		return nil, c.errArity()
	}
	return cmd.do(c)
}

// call is a command that runs.
type call struct {
	keys Keys
	now  int64 // in milliseconds
	args []string
	name string // in lower case, xgroup|create for a subcommand
}

func (c *call) errArity() Error {
	return errorf("ERR wrong number of arguments for '%s' command", c.name)
}

func (c *call) errSubcommand() Error {
	container, _, _ := strings.Cut(c.name, "|")
	return errorf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", short(c.args[1]), strings.ToUpper(container))
}

const (
	errSyntax = Error("ERR syntax error")
	errNoKey  = Error("ERR no such key")
)

// group returns a group that has to exist.
func (c *call) group(key, name string) (*Stream, *group, error) {
	s, err := c.keys.Stream(key)
	if err != nil {
		return nil, nil, err
	}
	if s != nil {
		if g := s.groups[name]; g != nil {
			return s, g, nil
		}
	}
	return nil, nil, errorf("NOGROUP No such key '%s' or consumer group '%s'", key, name)
}

func help(container string, lines ...string) Reply {
	reply := []Reply{Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, line := range lines {
		reply = append(reply, Simple(line))
	}
	return append(reply, Simple("HELP"), Simple("    Prints this help."))
}
