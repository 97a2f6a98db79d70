package engine

import (
	"cmp"
	"slices"

	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

// inventory lists the entries that this process has: those parked, those whose leases it holds, and those under completion. All
// its fields are set before it is used.
type inventory struct {
	parked    *waitlist.List
	table     *lease.Table
	completer *completion.Completer
}

// knownEntry is an entry that this process has. At most one of held and parked is set; neither is for one under completion.
type knownEntry struct {
	ms, seq uint64 // of the ID
	id      string
	held    *lease.Lease // the lease that was acquired for it
	parked  *lease.Entry
	pending bool // for this process, when that was compared
}

func entryOf(id string) (x knownEntry) {
	x.id = id
	x.ms, x.seq = lease.ParseID(id)
	return x
}

func compareEntries(a, b knownEntry) int {
	return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.seq, b.seq))
}

// each yields the entries that this process has. It visits the waitlist, the table and the completer in the order in which
// entries pass through them, and an entry that moves on enters the next before it leaves the one before. So none is missed, but one
// may be yielded twice.
func (v *inventory) each(p *partition, s *lease.Session, yield func(id string, held *lease.Lease, parked *lease.Entry)) {
	for _, x := range v.parked.Of(s) {
		yield(x.ID, nil, x)
	}
	for l := range v.table.Of(s) {
		yield(l.Entry(), l, nil)
	}
	for _, id := range v.completer.IDs(p.number) {
		yield(id, nil, nil)
	}
}

// known returns the entries that this process has, lowest ID first.
func (v *inventory) known(p *partition, s *lease.Session) (known []knownEntry) {
	v.each(p, s, func(id string, held *lease.Lease, parked *lease.Entry) {
		x := entryOf(id)
		x.held, x.parked = held, parked
		known = append(known, x)
	})
	slices.SortFunc(known, compareEntries)
	return known
}

// unknown returns those of ids that this process still does not have. It reuses the array of ids.
func (v *inventory) unknown(p *partition, s *lease.Session, ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	now := make(map[string]bool)
	v.each(p, s, func(id string, _ *lease.Lease, _ *lease.Entry) { now[id] = true })
	return slices.DeleteFunc(ids, func(id string) bool { return now[id] })
}

// has reports whether this process already has an entry. One that was just delivered is here already if the group was recreated, or
// its position set back by hand.
func (v *inventory) has(partition int, stream, id string) bool {
	if v.parked.HasEntry(stream, id) {
		return true
	}
	if l := v.table.Get(stream); l != nil && l.Entry() == id {
		return true
	}
	return v.completer.Has(partition, id)
}
