package lease

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is a table without wheel, handles or sets.
type model struct {
	rows map[string]*modelRow
}

type modelRow struct {
	lease   *Lease
	at      int64 // the tick at which it rings
	due     int64
	queued  bool
	renewed bool
	doubted bool // not confirmed
}

// makeDue makes a row due at at.
func (r *modelRow) makeDue(at int64) { r.at, r.due = at, min(r.due, at) }

func (m *model) of(s *Session) (leases []*Lease) {
	for _, r := range m.rows {
		if r.lease.session == s {
			leases = append(leases, r.lease)
		}
	}
	return leases
}

// split is what SplitUnconfirmed does.
func (m *model) split(missing []*Lease) (forgotten, deleted []*Lease) {
	for _, l := range missing {
		switch r := m.rows[l.Stream()]; {
		case r == nil || r.lease != l:
		case r.doubted || !r.renewed:
			forgotten = append(forgotten, l)
		default:
			deleted = append(deleted, l)
		}
	}
	return forgotten, deleted
}

// Any sequence of additions, removals, answers and ticks leaves what a map of rows would.
func TestTableAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 3
		table := newTable(t, partitions)
		m := model{rows: make(map[string]*modelRow)}
		sessions := []*Session{sessionIn(0), sessionIn(1), sessionIn(2), sessionIn(1)}
		now := int64(0)
		queues := make([][]*Lease, partitions)
		var sent []*Lease // under way, those that ended since among them
		later := func(t *rapid.T) int64 { return now + rapid.Int64Range(1, 90).Draw(t, "ticks")*tick }

		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				stream := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "stream"))
				l, at := row(rapid.SampledFrom(sessions).Draw(t, "session"), stream), later(t)
				_, listed := m.rows[stream]
				require.Equal(t, !listed, table.Add(l, at, nil))
				if !listed {
					m.rows[stream] = &modelRow{lease: l, at: at, due: at}
				}
			},
			"remove": func(t *rapid.T) {
				stream := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "stream"))
				l := table.Get(stream)
				if r := m.rows[stream]; r == nil {
					require.Nil(t, l)
					return
				}
				require.True(t, table.Remove(l))
				require.False(t, table.Remove(l))
				delete(m.rows, stream)
			},
			"tick": func(t *rapid.T) {
				now += rapid.Int64Range(0, 40).Draw(t, "ticks") * tick
				next := now + rapid.Int64Range(1, 20).Draw(t, "next")*tick
				var want []*Lease
				for _, r := range m.rows {
					if r.at <= now {
						r.at = next
						if r.queued {
							r.at = max(next, r.lease.lastLocked(int64(tick)))
						} else {
							r.queued = true
							want = append(want, r.lease)
						}
					}
				}
				got := table.Due(now, queues, func(*Lease) (int64, bool) { return next, true })
				require.Equal(t, len(want) > 0, got)
				var all []*Lease
				for p := range queues {
					for _, l := range queues[p] {
						require.Equal(t, p, l.Partition())
					}
					all = append(all, queues[p]...)
					queues[p] = nil
				}
				require.ElementsMatch(t, want, all)
				sent = append(sent, all...)
			},
			"answer": func(t *rapid.T) {
				if len(sent) == 0 {
					return
				}
				n := rapid.IntRange(1, len(sent)).Draw(t, "n")
				at, renewed := later(t), rapid.Bool().Draw(t, "renewed")
				if renewed {
					table.Renewed(sent[:n], at, func(*Lease) int64 { return at }, func(time.Duration) {})
				} else {
					table.Retry(sent[:n], at)
				}
				for _, l := range sent[:n] {
					if r := m.rows[l.Stream()]; r != nil && r.lease == l {
						r.at, r.queued = at, false
						if renewed {
							r.due, r.renewed, r.doubted = at, true, false
						}
					}
				}
				sent = sent[n:]
			},
			"server changes": func(t *rapid.T) {
				s, at := rapid.SampledFrom(sessions).Draw(t, "session"), later(t)
				table.Distrust(s, int64(lasting), at)
				for _, l := range m.of(s) {
					r := m.rows[l.Stream()]
					r.doubted = true
					r.makeDue(at)
				}
			},
			"server changed during an acquisition": func(t *rapid.T) {
				stream, at := strconv.Itoa(rapid.IntRange(0, 30).Draw(t, "stream")), later(t)
				if r := m.rows[stream]; r != nil {
					table.DistrustOne(r.lease, int64(lasting), at)
					r.doubted = true
					r.makeDue(at)
				}
			},
			"hasten": func(t *rapid.T) {
				s, at := rapid.SampledFrom(sessions).Draw(t, "session"), later(t)
				chosen := func(l *Lease) bool { return len(l.Stream()) == 1 }
				want := 0
				for _, l := range m.of(s) {
					if r := m.rows[l.Stream()]; chosen(l) && at < r.due {
						r.makeDue(at)
						want++
					}
				}
				require.Equal(t, want, table.Hasten(s, func(l *Lease) (int64, bool) { return at, chosen(l) }))
			},
			"all due": func(t *rapid.T) {
				at := later(t)
				table.MakeAllDue(at)
				for _, r := range m.rows {
					r.makeDue(at)
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(m.rows), table.Len())
				counts, unconfirmed := make([]int, partitions), make([]int, partitions)
				soonest := int64(0)
				for stream, r := range m.rows {
					require.Same(t, r.lease, table.Get(stream))
					require.Equal(t, r.due, r.lease.due)
					counts[r.lease.Partition()]++
					if r.doubted {
						unconfirmed[r.lease.Partition()]++
					}
					if soonest == 0 || r.at < soonest {
						soonest = r.at
					}
				}
				require.Equal(t, counts, table.Counts(nil))
				require.Equal(t, counts[1], table.Count(1))
				require.Equal(t, unconfirmed, table.Unconfirmed(nil))
				for _, s := range sessions {
					require.ElementsMatch(t, m.of(s), slices.Collect(table.Of(s)))
				}
				missing := append(table.All(), sent...)
				wantForgotten, wantDeleted := m.split(missing)
				forgotten, deleted := table.SplitUnconfirmed(missing)
				require.Equal(t, wantForgotten, forgotten)
				require.Equal(t, wantDeleted, deleted)
				require.Len(t, table.All(), len(m.rows))
				next, ok := table.Next()
				require.Equal(t, len(m.rows) > 0, ok)
				require.LessOrEqual(t, next, soonest)
			},
		})
	})
}
