package wheel

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/stretchr/testify/require"
)

// model is the wheel written without regard to cost: a map of ticks. It does its
// own rounding, in arbitrary precision.
type model struct {
	size  int64
	now   int64
	ticks map[Handle]entry
}

type entry struct {
	tick      int64
	partition uint16
}

func newModel(size, start int64) *model {
	return &model{size: size, now: floorTick(start, size), ticks: map[Handle]entry{}}
}

// floorTick relies on big.Int.Div, which rounds down for a positive divisor.
func floorTick(at, size int64) int64 {
	return new(big.Int).Div(big.NewInt(at), big.NewInt(size)).Int64()
}

func ceilTick(at, size int64) int64 {
	down := floorTick(at, size)
	if down*size == at {
		return down
	}
	return down + 1
}

func (m *model) schedule(h Handle, partition uint16, at int64) {
	m.ticks[h] = entry{max(ceilTick(at, m.size), m.now+1), partition}
}

func (m *model) cancel(h Handle) bool {
	_, ok := m.ticks[h]
	delete(m.ticks, h)
	return ok
}

// advance returns the handles due, each with the entry it had.
func (m *model) advance(now int64) map[Handle]entry {
	target := floorTick(now, m.size)
	out := map[Handle]entry{}
	for h, e := range m.ticks {
		if e.tick <= target && target > m.now {
			out[h] = e
			delete(m.ticks, h)
		}
	}
	m.now = max(m.now, target)
	return out
}

func (m *model) earliest() (tick int64, ok bool) {
	for _, e := range m.ticks {
		if !ok || e.tick < tick {
			tick, ok = e.tick, true
		}
	}
	return tick, ok
}

// pair runs a wheel next to its model and compares every answer.
type pair struct {
	t   require.TestingT
	w   *Wheel
	m   *model
	due Due
}

func newPair(t require.TestingT, cfg Config, start int64) *pair {
	w, err := New(cfg, start)
	require.NoError(t, err)
	return &pair{t: t, w: w, m: newModel(int64(cfg.WithDefaults().Tick), start)}
}

func (p *pair) schedule(h Handle, partition uint16, at int64) {
	p.w.Schedule(h, partition, at)
	p.m.schedule(h, partition, at)
	p.deadline(h)
}

func (p *pair) cancel(h Handle) {
	require.Equal(p.t, p.m.cancel(h), p.w.Cancel(h), "Cancel(%d)", h)
	p.deadline(h)
}

func (p *pair) deadline(h Handle) {
	at, ok := p.w.Deadline(h)
	e, want := p.m.ticks[h]
	require.Equal(p.t, want, ok, "Deadline(%d)", h)
	if ok {
		require.Equal(p.t, e.tick*p.m.size, at, "Deadline(%d)", h)
	}
}

func (p *pair) advance(now int64) {
	want := p.m.advance(now)
	p.w.Advance(now, &p.due)
	require.Equal(p.t, len(want), p.due.Len(), "due at %d", now)

	seen := map[uint16]bool{}
	first := int64(0)
	for partition, handles := range p.due.Groups() {
		require.False(p.t, seen[partition], "partition %d twice", partition)
		require.NotEmpty(p.t, handles)
		last := want[handles[0]].tick
		require.True(p.t, len(seen) == 0 || last >= first, "partitions in order of their earliest tick")
		first, seen[partition] = last, true
		for _, h := range handles {
			e, ok := want[h]
			require.True(p.t, ok, "%d came out, is not due or came out twice", h)
			require.Equal(p.t, e.partition, partition, "partition of %d", h)
			require.LessOrEqual(p.t, last, e.tick, "order in partition %d", partition)
			last = e.tick
			delete(want, h)
		}
	}
	require.Empty(p.t, want, "due, and did not come out")
}

// check compares everything that can be queried, and checks the wheel's internals.
func (p *pair) check() {
	require.Equal(p.t, len(p.m.ticks), p.w.Len())
	at, ok := p.w.Next()
	earliest, want := p.m.earliest()
	require.Equal(p.t, want, ok, "Next")
	if ok {
		require.Greater(p.t, at, p.m.now*p.m.size, "Next in the past: the loop would spin")
		require.LessOrEqual(p.t, at, earliest*p.m.size, "Next too late")
	}
	if err := invariants(p.w); err != nil {
		require.NoError(p.t, err)
	}
}

// invariants walks every list of w.
func invariants(w *Wheel) error {
	count := 0
	for i := range w.levels {
		l := &w.levels[i]
		for slot := int64(0); slot <= l.mask; slot++ {
			heads := w.heads[(int64(i)<<w.slotBits|slot)<<laneBits:][:lanes]
			if full := slices.ContainsFunc(heads, func(h link) bool { return h != none }); full != l.occupied(slot) {
				return fmt.Errorf("level %d slot %d: bit is %v, lists say %v", i, slot, l.occupied(slot), full)
			}
			for lane, h := range heads {
				before := toHead | link((i<<w.slotBits|int(slot))<<laneBits|lane)
				for ; h != none; h = w.nodes.at(h).next {
					n := w.nodes.at(h)
					if n.prev != before {
						return fmt.Errorf("handle %d: prev is %#x, want %#x", h, n.prev, before)
					}
					if n.tick() <= w.now {
						return fmt.Errorf("handle %d: armed for tick %d, now is %d", h, n.tick(), w.now)
					}
					if err := misplaced(w, i, slot, n.tick()); err != nil {
						return fmt.Errorf("handle %d: %w", h, err)
					}
					before = h
					count++
				}
			}
		}
		for j, word := range l.words {
			if (word != 0) != (l.summary>>j&1 != 0) {
				return fmt.Errorf("level %d: summary bit %d, word is %#x", i, j, word)
			}
		}
	}
	if count != w.armed {
		return fmt.Errorf("%d in lists, %d armed", count, w.armed)
	}
	return nil
}

// misplaced returns an error if a tick is in a slot that is not its own, or out of reach.
// Only the last level may hold a tick for which its slot is too early.
func misplaced(w *Wheel, i int, slot, tick int64) error {
	l := &w.levels[i]
	base := w.now >> l.shift
	number := base + (slot-base)&l.mask
	switch want := tick >> l.shift; {
	case number == base:
		return fmt.Errorf("tick %d in the current slot of level %d, now is %d", tick, i, w.now)
	case number > want, number < want && i < len(w.levels)-1:
		return fmt.Errorf("tick %d in slot %d of level %d, should be in %d", tick, number, i, want)
	}
	return nil
}
