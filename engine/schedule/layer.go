package schedule

import "github.com/streamlease/streamlease/api"

// Added begins with a schedule. It implements engine.Layer, as the methods that follow do: each leaves it to the loop.
func (k *core) Added(l api.Lease) { k.inbox.put(func() { k.added(l) }) }

// Releasing ends a schedule as soon as no code of the user runs for it.
func (k *core) Releasing(l api.Lease, why error) {
	k.inbox.put(func() { k.leave(k.entries.owned(l), leaving{handBack, why}) })
}

// Disowned does the same with one that was lost; nothing more is stored.
func (k *core) Disowned(l api.Lease, why error) {
	k.inbox.put(func() { k.leave(k.entries.owned(l), leaving{lost, why}) })
}

// Superseded makes way for a newer announcement, by Done: to hand this one back would leave two announcements for ever, which would supersede
// each other in turn. The checkpoint stays for whoever has the newer one, unless that is about another incarnation.
func (k *core) Superseded(l api.Lease) {
	k.inbox.put(func() {
		if e := k.entries.owned(l); e != nil {
			e.superseded = true
			k.loader.add(e)
		}
	})
}

// Signaled reads the row of a schedule again. What was sent along does not matter.
func (k *core) Signaled(l api.Lease, _ []byte) {
	k.inbox.put(func() {
		if e := k.entries.owned(l); e != nil {
			k.loader.add(e)
		}
	})
}

// SignalsMissed reads all rows of a partition again.
func (k *core) SignalsMissed(partition int) {
	k.inbox.put(func() {
		for _, e := range k.entries.all {
			if e != nil && int(e.partition) == partition {
				k.loader.add(e)
			}
		}
	})
}

// Topology does nothing: a server that was replaced has signals missed, and its clock shows in the times.
func (k *core) Topology() {}
