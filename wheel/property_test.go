package wheel

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// shapes draws a wheel, mostly a tiny one: in those, slots are reused, levels
// overflow and timers are beyond the range all the time.
func shapes(t *rapid.T) Config {
	slots := rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(1, MaxSlotBits)).Draw(t, "slotBits")
	return Config{
		Tick:     rapid.SampledFrom([]time.Duration{MinTick, 10 * MinTick, DefaultTick, 7_000_001}).Draw(t, "tick"),
		SlotBits: slots,
		StepBits: rapid.IntRange(0, min(slots, 6)).Draw(t, "stepBits"),
		Levels:   rapid.IntRange(1, 4).Draw(t, "levels"),
	}
}

// starts draws the time at which a wheel is made: about zero, before it, and just
// below the ticks where a counter of 31, 32 or 40 bits would wrap.
func starts(t *rapid.T, size int64) int64 {
	tick := rapid.SampledFrom([]int64{0, -1000, 1 << 31, 1 << 32, 1 << 40, -1 << 32}).Draw(t, "start")
	limit := math.MaxInt64/size - 1<<32
	tick = min(max(tick, -limit), limit) - rapid.Int64Range(0, 300).Draw(t, "before")
	return tick*size + rapid.Int64Range(0, size-1).Draw(t, "part")
}

// intervals draws from a fraction of a tick to beyond the range, and the past.
func intervals(t *rapid.T, cfg Config) int64 {
	cfg = cfg.WithDefaults()
	size := int64(cfg.Tick)
	reach := min(int64(1)<<cfg.reachBits(), 1<<30)
	slots := int64(1) << cfg.SlotBits
	ticks := rapid.OneOf(
		rapid.Int64Range(-3, 5),
		rapid.Int64Range(slots-2, slots+2),
		rapid.Int64Range(0, 4*slots),
		rapid.Int64Range(reach-2, reach+2),
		rapid.Int64Range(0, 4*reach),
	).Draw(t, "ticks")
	return ticks*size + rapid.SampledFrom([]int64{0, 1, -1, size / 2}).Draw(t, "offset")
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := shapes(t)
		size := int64(cfg.WithDefaults().Tick)
		now := starts(t, size)
		p := newPair(t, cfg, now)
		// Few handles, so that they collide; far apart, so that pages are missing.
		handles := rapid.SampledFrom([]Handle{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 255, 256, 257, 5000, 70000})
		partitions := rapid.SampledFrom([]uint16{0, 0, 0, 1, 2, 300, 65535})

		t.Repeat(map[string]func(*rapid.T){
			"schedule": func(t *rapid.T) {
				p.schedule(handles.Draw(t, "h"), partitions.Draw(t, "p"), now+intervals(t, cfg))
			},
			"many": func(t *rapid.T) {
				for range rapid.IntRange(2, 20).Draw(t, "n") {
					p.schedule(handles.Draw(t, "h"), partitions.Draw(t, "p"), now+intervals(t, cfg))
				}
			},
			"cancel":   func(t *rapid.T) { p.cancel(handles.Draw(t, "h")) },
			"deadline": func(t *rapid.T) { p.deadline(handles.Draw(t, "h")) },
			"step": func(t *rapid.T) {
				now += rapid.Int64Range(0, 3*size).Draw(t, "by")
				p.advance(now)
			},
			"jump": func(t *rapid.T) {
				now += max(0, intervals(t, cfg))
				p.advance(now)
			},
			"back": func(t *rapid.T) {
				p.advance(now - rapid.Int64Range(0, 100*size).Draw(t, "by"))
			},
			"next": func(t *rapid.T) {
				if at, ok := p.w.Next(); ok {
					now = max(now, at)
					p.advance(now)
				}
			},
			"": func(*rapid.T) { p.check() },
		})
	})
}

// One jump returns the same as many steps, in the same order of ticks.
func TestOneJumpEqualsManySteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := shapes(t)
		size := int64(cfg.WithDefaults().Tick)
		start := starts(t, size)
		a, err := New(cfg, start)
		require.NoError(t, err)
		b, err := New(cfg, start)
		require.NoError(t, err)
		end := start
		for h := range Handle(rapid.IntRange(1, 60).Draw(t, "timers")) {
			at := start + intervals(t, cfg)
			partition := rapid.Uint16Range(0, 3).Draw(t, "p")
			a.Schedule(h, partition, at)
			b.Schedule(h, partition, at)
			end = max(end, at)
		}
		end += 2 * size

		jump := map[uint16][]int64{}
		deadlines := deadlinesOf(a)
		collect(t, jump, deadlines, a, end)
		steps := map[uint16][]int64{}
		for now := start; now < end; {
			// Wide steps at times, or a far timer would take forever.
			now = min(end, now+rapid.OneOf(
				rapid.Int64Range(1, 5*size),
				rapid.Int64Range(1, 1+(end-start)/4),
			).Draw(t, "step"))
			collect(t, steps, deadlines, b, now)
			if b.Len() == 0 {
				break
			}
			if at, ok := b.Next(); ok && rapid.Bool().Draw(t, "next") {
				now = max(now, at-size)
			}
		}
		require.Equal(t, jump, steps)
		require.Zero(t, a.Len())
		require.Zero(t, b.Len())
	})
}

func deadlinesOf(w *Wheel) map[Handle]int64 {
	out := map[Handle]int64{}
	for h := range Handle(100) {
		if at, ok := w.Deadline(h); ok {
			out[h] = at
		}
	}
	return out
}

// collect appends what comes out, as deadline and handle. Handles with the same
// deadline are sorted, since a wheel does not order them.
func collect(t require.TestingT, into map[uint16][]int64, deadlines map[Handle]int64, w *Wheel, now int64) {
	byDeadline := func(x, y Handle) int { return cmp.Compare(deadlines[x], deadlines[y]) }
	for partition, handles := range advance(w, now) {
		require.True(t, slices.IsSortedFunc(handles, byDeadline), "partition %d out of order", partition)
		slices.SortFunc(handles, func(x, y Handle) int {
			return cmp.Or(byDeadline(x, y), cmp.Compare(x, y))
		})
		for _, h := range handles {
			into[partition] = append(into[partition], deadlines[h], int64(h))
		}
	}
}
