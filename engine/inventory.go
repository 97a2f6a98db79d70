package engine

import (
	"cmp"
	"slices"

	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

// inventory says which entries this process has: parked, held, or under completion.
type inventory struct {
	parked    *waitlist.List
	table     *lease.Table
	completer *completion.Completer
}

// knownEntry is an entry that this process has to do with.
type knownEntry struct {
	ms, seq uint64 // of the ID
	id      string
	held    *lease.Lease // whose entry it is
	parked  *lease.Entry
}

func entryOf(id string) (x knownEntry) {
	x.id = id
	x.ms, x.seq = lease.ParseID(id)
	return x
}

func compareEntries(a, b knownEntry) int {
	return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.seq, b.seq))
}

// each yields the entries that this process has, place by place in the order in which entries come to them: one that moves on
// meanwhile is in the next place before it leaves the one before. It may come twice.
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

// known returns the entries that this process has, the lowest ID first.
func (v *inventory) known(p *partition, s *lease.Session) (known []knownEntry) {
	v.each(p, s, func(id string, held *lease.Lease, parked *lease.Entry) {
		x := entryOf(id)
		x.held, x.parked = held, parked
		known = append(known, x)
	})
	slices.SortFunc(known, compareEntries)
	return known
}

// unknown returns which of these IDs this process has not come to have since known was asked.
func (v *inventory) unknown(p *partition, s *lease.Session, ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	now := make(map[string]bool)
	v.each(p, s, func(id string, _ *lease.Lease, _ *lease.Entry) { now[id] = true })
	return slices.DeleteFunc(ids, func(id string) bool { return now[id] })
}

// has reports whether this process has an entry already that was delivered: the group was made again, or set back by hand.
func (v *inventory) has(partition int, stream, id string) bool {
	if v.parked.HasEntry(stream, id) {
		return true
	}
	if l := v.table.Get(stream); l != nil && l.Entry() == id {
		return true
	}
	return v.completer.Has(partition, id)
}
