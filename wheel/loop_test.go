package wheel

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/virtual"
)

// order asks the loop of the test to arm a timer for a time since its start.
type order struct {
	handle Handle
	at     time.Duration
}

// loop does what the owner of a wheel does: it sleeps until Next, or until there
// is something to arm, which may be earlier. It counts how often it woke.
type loop struct {
	w      *Wheel
	start  time.Time
	orders chan order
	fired  map[Handle]time.Duration // read once run has returned
	wakes  int
}

func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	var due Due
	for {
		if at, ok := l.w.Next(); ok {
			timer.Reset(time.Duration(at) - time.Since(l.start))
		}
		select {
		case <-ctx.Done():
			return
		case o := <-l.orders:
			l.w.Schedule(o.handle, 0, int64(o.at))
			continue
		case <-timer.C:
			l.wakes++
		}
		now := time.Since(l.start)
		l.w.Advance(int64(now), &due)
		for _, handles := range due.Groups() {
			for _, h := range handles {
				l.fired[h] = now
			}
		}
	}
}

func TestALoopThatSleepsUntilNextIsOnTime(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Tick: time.Millisecond},
		{Tick: 50 * time.Millisecond, SlotBits: 3, StepBits: 1, Levels: 2},
		{Tick: time.Second, SlotBits: 1, Levels: 1},
	} {
		virtual.Test(t, func(t *testing.T) {
			tick := cfg.WithDefaults().Tick
			ctx, cancel := context.WithCancel(t.Context())
			l := &loop{
				w:      newWheel(t, cfg, 0),
				start:  time.Now(),
				orders: make(chan order),
				fired:  map[Handle]time.Duration{},
			}
			done := make(chan struct{})
			go func() { l.run(ctx); close(done) }()

			// Orders arrive over ten minutes, for up to an hour ahead, at times that
			// are not multiples of a tick.
			r := rand.New(rand.NewPCG(1, uint64(tick)))
			want := map[Handle]time.Duration{}
			last := time.Duration(0)
			for h := range Handle(500) {
				time.Sleep(time.Duration(r.Int64N(int64(2400 * time.Millisecond))))
				after := time.Duration(1 + r.Int64N(int64(time.Second)<<(h%12)))
				at := time.Since(l.start) + after
				l.orders <- order{h, at}
				want[h] = at
				last = max(last, at)
			}
			time.Sleep(last - time.Since(l.start) + tick)
			synctest.Wait()
			cancel()
			<-done

			require.Len(t, l.fired, len(want))
			for h, at := range want {
				require.GreaterOrEqual(t, l.fired[h], at, "handle %d early, tick %v", h, tick)
				require.Less(t, l.fired[h], at+tick, "handle %d late, tick %v", h, tick)
			}
			if cfg.SlotBits == 0 {
				require.LessOrEqual(t, l.wakes, 2*len(want), "a timer needs a wake to move and one to come out")
			}
		})
	}
}

// A process that was stopped for a day finds everything due at once, and then
// continues as before.
func TestALoopAfterADayOfPause(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		start := time.Now()
		since := func() int64 { return int64(time.Since(start)) }
		w := newWheel(t, Config{}, since())
		for h := range Handle(1000) {
			w.Schedule(h, 0, int64(h)*int64(10*time.Second))
		}
		w.Schedule(1000, 0, 25*hour)
		time.Sleep(24 * time.Hour)
		var due Due
		w.Advance(since(), &due)
		require.Equal(t, 1000, due.Len())

		count := 0
		for due.Len() != 1 || count == 0 {
			at, ok := w.Next()
			require.True(t, ok)
			time.Sleep(time.Duration(at - since()))
			w.Advance(since(), &due)
			count++
		}
		require.Equal(t, 25*hour, since())
		require.LessOrEqual(t, count, 2)
	})
}
