package preflight

import (
	"fmt"

	"github.com/streamlease/streamlease/cluster/expiry"
)

// events checks the keyspace events, which only WithExpired uses.
func (c *check) events(n *node) {
	value, known := n.config[expiry.Setting]
	if !known {
		if c.Hints {
			c.add(Note, Events, n.addr, "whether the server reports expired keys is unknown, since CONFIG is refused",
				fmt.Sprintf("If it does not, set %s to \"Kx\" by the means of your provider", expiry.Setting))
		}
		return
	}
	flags := expiry.Flags(value)
	switch {
	case c.Hints && !flags.Reports() && c.SetEvents:
		c.add(Note, Events, n.addr, fmt.Sprintf("%s is %q; the engine will add %q", expiry.Setting, value, flags.Missing()), "")
	case c.Hints && !flags.Reports():
		c.add(Warning, Events, n.addr, fmt.Sprintf("%s is %q: no Expired hints will come", expiry.Setting, value), "Set it to \"Kx\", or use WithKeyspaceEvents")
	case flags.Chatty():
		c.add(Note, Events, n.addr, fmt.Sprintf("%s is %q: the server reports every renewal to whoever listens", expiry.Setting, value),
			"Remove g, $ and A from it if nobody needs them")
	case c.Hints:
		c.add(Note, Events, n.addr, fmt.Sprintf("%s is %q: expired keys are reported", expiry.Setting, value), "")
	}
}
