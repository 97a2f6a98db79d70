package soak

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/test/trouble"
)

// Names of troubles.
const (
	OnPods   = "pods"   // killed, stopped, paused
	OnLinks  = "links"  // cut, stalled, slow
	OnServer = "server" // paused, killed
	OnClock  = "clock"  // the server's clock is stepped
	Poison   = "poison" // entries that no producer should send
	Large    = "large"  // entries of many bytes or fields

	actAcked    = "acked" // what operators do to entries by hand
	actDeleted  = "deleted"
	actTrimmed  = "trimmed"
	actConsumer = "delconsumer"
)

var (
	acts     = []string{actAcked, actDeleted, actTrimmed, actConsumer}
	troubles = append([]string{OnPods, OnLinks, OnServer, OnClock, Poison, Large}, acts...)
)

// Troubles returns the names of all troubles.
func Troubles() []string { return slices.Clone(troubles) }

// ParseTroubles parses names that are separated by commas; "all" means all. A name after a minus is left out.
func ParseTroubles(list string) (chosen []string, err error) {
	for name := range strings.SplitSeq(list, ",") {
		name, without := strings.CutPrefix(strings.TrimSpace(name), "-")
		switch {
		case name == "all" && !without:
			chosen = Troubles()
		case !slices.Contains(troubles, name):
			return nil, fmt.Errorf("%q is not one of all, %s", name, strings.Join(troubles, ", "))
		case without:
			chosen = slices.DeleteFunc(chosen, func(x string) bool { return x == name })
		case !slices.Contains(chosen, name):
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

// has reports whether a trouble may strike.
func (o *Options) has(name string) bool { return slices.Contains(o.Troubles, name) }

// acts returns what operators do.
func (o *Options) acts() (chosen []string) {
	for _, name := range acts {
		if o.has(name) {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// strikes reports whether a trouble may strike a pod.
func (o *Options) strikes(t trouble.Trouble) bool {
	if t.OnLink {
		return o.has(OnLinks)
	}
	return o.has(OnPods)
}
