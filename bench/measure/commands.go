package measure

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/test/servers"
)

// Commands is how often each command was sent, by its name in lower case.
type Commands map[string]int64

// sent are the commands that an engine and its client send. The server's statistics also list what scripts call, under
// the same names as what clients send; no script here calls any of these.
var sent = []string{"eval", "evalsha", "xreadgroup", "ping", "hello", "auth", "select", "client", "command", "script", "cluster"}

// CommandsSent reads the statistics of the server.
func CommandsSent(ctx context.Context, s *servers.Server) (Commands, error) {
	stats, err := s.CommandStats(ctx)
	if err != nil {
		return nil, err
	}
	c := make(Commands)
	for name, stat := range stats {
		command, _, _ := strings.Cut(name, "|")
		if slices.Contains(sent, command) {
			c[command] += stat.Calls + stat.RejectedCalls
		}
	}
	return c, nil
}

// Since is what was sent after an earlier reading.
func (c Commands) Since(earlier Commands) Commands {
	d := make(Commands)
	for name, n := range c {
		if n > earlier[name] {
			d[name] = n - earlier[name]
		}
	}
	return d
}

// Total is the number of all commands.
func (c Commands) Total() (n int64) {
	for _, calls := range c {
		n += calls
	}
	return n
}

// Scripts is the number of commands that run a script.
func (c Commands) Scripts() int64 { return c["eval"] + c["evalsha"] }

// Names returns the names of the commands in order.
func (c Commands) Names() []string { return slices.Sorted(maps.Keys(c)) }
