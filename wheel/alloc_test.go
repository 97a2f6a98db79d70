package wheel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A second of a renewal loop over a wheel that is full: advance, arm again what
// came out, move some, cancel and arm some. None of it may allocate.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, partitions := range []Handle{1, 64, 5000} {
		const timers = 20_000
		w := newWheel(t, Config{}, 0)
		for h := range Handle(timers) {
			w.Schedule(h, uint16(h%partitions), 10*second*int64(h)/timers)
		}
		var (
			due Due
			now int64
			out int
		)
		loop := func() {
			now += second
			w.Advance(now, &due)
			out += due.Len()
			for partition, handles := range due.Groups() {
				for _, h := range handles {
					w.Schedule(h, partition, now+10*second)
				}
			}
			for h := Handle(0); h < timers; h += 10 {
				at, _ := w.Deadline(h)
				w.Cancel(h)
				w.Schedule(h, uint16(h%partitions), at)
				w.Schedule(h, uint16(h%partitions), at+hour)
				w.Schedule(h, uint16(h%partitions), at)
			}
			if at, ok := w.Next(); !ok || at <= now {
				t.Error("Next")
			}
		}
		for range 100 {
			loop()
		}
		out = 0
		require.Zero(t, testing.AllocsPerRun(50, loop))
		require.Greater(t, out, 2*timers, "the loop must have had work to do")
	}
}
