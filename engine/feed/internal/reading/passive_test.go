package reading

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

// one returns a roster with one lane, and streams that rest.
func one(n int) (*roster, []*stream) {
	r := newRoster(func(uint16) string { return "" })
	all := make([]*stream, n)
	for i := range all {
		all[i] = &stream{source: named(fmt.Sprint("s", i))}
		r.add(all[i], string(all[i].source.(named)))
	}
	for len(r.take(r.lanes[""], n, nil)) > 0 {
	}
	for _, h := range all {
		h.clear(look)
		r.settle(h, Rest, r.epoch, 0)
	}
	return r, all
}

// readAll takes and answers everything that is queued, with that many messages each, and returns how many reads that were.
func readAll(r *roster, now int64, messages int) int {
	n := 0
	for _, l := range r.lanes {
		for l.ready(now) {
			for _, turn := range r.take(l, 256, nil) {
				n++
				r.arrived(turn.h, messages, false, r.epoch)
				turn.h.clear(look)
				r.settle(turn.h, Rest, r.epoch, now)
			}
		}
	}
	return n
}

// In each round of the sweep each stream that was there throughout is passed once, whatever comes and goes meanwhile, and evenly.
func TestSweepPassesEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, all := one(rapid.IntRange(1, 40).Draw(t, "streams"))
		r.sweep.period = 1000 * ms
		r.sweep.begin(0)
		passed := make(map[*stream]int)
		stay, added := slices.Clone(all), 0
		for now := int64(0); now < 1000*ms; now += 10 * ms {
			r.tick(now)
			for _, l := range r.lanes {
				for _, turn := range r.take(l, 100, nil) {
					passed[turn.h]++
					r.settle(turn.h, Rest, r.epoch, now)
				}
			}
			if now == 500*ms {
				some := 0
				for _, h := range stay {
					some += passed[h]
				}
				require.InDelta(t, len(stay)/2, some, float64(len(all))/4+float64(len(all)-len(stay)+added)+1)
			}
			switch rapid.IntRange(0, 20).Draw(t, "what") {
			case 0:
				if len(stay) > 1 {
					i := rapid.IntRange(0, len(stay)-1).Draw(t, "which")
					r.remove(stay[i])
					stay = slices.Delete(stay, i, i+1)
				}
			case 1:
				h := &stream{source: named(fmt.Sprint("new", now))}
				r.add(h, string(h.source.(named)))
				added++
			}
		}
		r.tick(1000 * ms)
		for _, l := range r.lanes {
			for _, turn := range r.take(l, 100, nil) {
				passed[turn.h]++
			}
		}
		for _, h := range stay {
			require.Equal(t, 1, passed[h], "%s", h.source.Stream())
		}
	})
}

// By default a round takes a minute, and longer where that would be more than 500 streams a second. One that a caller asks for does not.
func TestSweepTakesLongerForMoreStreams(t *testing.T) {
	for _, c := range []struct {
		config  time.Duration
		streams int
		want    time.Duration
	}{
		{0, 30_000, time.Minute},
		{0, 100_000, 200 * time.Second},
		{time.Minute, 100_000, time.Minute},
		{NoSweep, 100_000, 0},
	} {
		least, each := (&Config{Sweep: c.config}).sweep()
		w := sweep{period: int64(least), each: int64(each)}
		require.EqualValues(t, c.want, w.length(c.streams))
		w.begin(0)
		if c.want == 0 {
			require.Zero(t, w.due(int64(time.Hour), c.streams))
			continue
		}
		require.InDelta(t, c.streams/4, w.due(int64(c.want/4), c.streams), 1)
		w.cursor = c.streams
		w.due(int64(c.want-1), c.streams)
		require.Equal(t, c.streams, w.cursor, "the round has not ended")
		w.due(int64(c.want), c.streams)
		require.Zero(t, w.cursor, "the next one has begun")
	}
}

// After a connection was lost, every stream is read within the time of a fast round, and those that were being read at once.
func TestLostConnection(t *testing.T) {
	const n = 10_000
	r, all := one(n)
	r.wake(all[0], true, 0)
	turn := r.take(r.lanes[""], 1, nil)[0]
	held := all[1]
	r.wake(held, true, 0)
	r.settle(r.take(r.lanes[""], 1, nil)[0].h, Hold, r.epoch, 0)
	before := r.epoch
	r.lost(0)
	r.settle(turn.h, Rest, before, 0)
	require.Equal(t, queued, turn.h.state, "what was being read may not be armed")
	reads, now := 0, int64(0)
	for ; now < int64(n)*int64(fastEach)+20*ms; now += 5 * ms {
		r.tick(now)
		got := readAll(r, now, 0)
		require.LessOrEqual(t, got, 5*n/40+fastAtOnce+1, "spread")
		reads += got
	}
	require.GreaterOrEqual(t, reads, n-1)
	require.LessOrEqual(t, reads, n+1)
	require.False(t, r.sweep.fast)
	r.wake(held, false, now)
	require.Equal(t, queued, held.state, "what is held is read when it is woken")

	// Connections that are lost all the time cost one round a second.
	reads = 0
	for end := now + 10*int64(time.Second); now < end; now += 5 * ms {
		r.lost(now)
		r.tick(now)
		reads += readAll(r, now, 0)
	}
	require.InDelta(t, 10*n, reads, n)
}

// A stream that is held is neither read nor forgotten.
func TestHold(t *testing.T) {
	r, all := one(1)
	h := all[0]
	take := func() bool { return len(r.take(r.lanes[""], 1, nil)) == 1 }
	hold := func() {
		require.True(t, take())
		r.settle(h, Hold, r.epoch, 0)
	}
	r.wake(h, true, 0)
	hold()
	require.False(t, take())
	r.wake(h, false, 0)
	require.False(t, take(), "nothing rang: it rests, since the read has armed it")
	require.Equal(t, resting, h.state)
	r.wake(h, true, 0)
	hold()
	r.ring("s0", 0)
	require.False(t, take())
	r.wake(h, false, 0)
	hold() // it was read, since it was rung
	r.wake(h, true, 0)
	require.True(t, take())
	r.wake(h, true, 0) // before Hold is returned
	r.settle(h, Hold, r.epoch, 0)
	require.True(t, take())
	r.ring("s0", 0)
	r.wake(h, false, 0)
	r.settle(h, Hold, r.epoch, 0)
	hold()
	r.wake(h, true, 0)
	require.True(t, take())
	r.postpone(h, 0) // not now
	r.wake(h, false, 0)
	require.True(t, take(), "it was to be read, and was not")
}

// The second ring in a row that brings nothing has further ones answered later, and later each time; a message ends that.
func TestBarrenRings(t *testing.T) {
	r, all := one(1)
	h, now := all[0], int64(0)
	var delays []int64
	for range 12 {
		r.ring("s0", now)
		began := now
		for readAll(r, now, 0) == 0 {
			now += ms
			r.tick(now)
		}
		delays = append(delays, (now-began)/ms)
		now += 3 * ms
	}
	for i, want := range []int64{0, 0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000} {
		require.GreaterOrEqual(t, delays[i], want)
		require.Less(t, delays[i], want+pacedStep/ms)
		require.True(t, want > 0 || delays[i] == 0)
	}
	r.ring("s0", now)
	now += 2000 * ms
	r.tick(now)
	require.Equal(t, 1, readAll(r, now, 1))
	require.Zero(t, h.barren)
	r.ring("s0", now)
	require.Equal(t, 1, readAll(r, now, 0), "at once")
}

// A stream that is rung for nothing is looked at the first times, and then seldom, but for ever.
func TestBarrenRingsAreLookedAt(t *testing.T) {
	r, all := one(1)
	h, looks := all[0], []int{}
	for i := 1; i <= 1000; i++ {
		h.set(asked)
		if r.arrived(h, 0, false, r.epoch) {
			h.clear(look)
			looks = append(looks, i)
		}
	}
	require.Equal(t, []int{1, 2, 8, 16}, looks[:4])
	require.Greater(t, looks[len(looks)-1], 1000-2*lookEvery)
	require.InDelta(t, 1000/lookEvery, len(looks), 5)
	require.Equal(t, int64(maxDelay), barrenDelay(h.barren))
}

// With a tracking table that is too small, each read of a stream takes the ring from another one, which is read in turn. Each stream has two
// such reads at once, all others of a lane come at a bounded rate. They are counted on a server that evicts a stream for each
// one that it arms.
func TestTableTooSmall(t *testing.T) {
	const streams, seconds = 20_000, 60
	for _, c := range []struct{ table, least, most int }{
		{streams * 99 / 100, 2 * streams, 2*streams + seconds*2_000},
		{streams / 2, 2 * streams, 2*streams + seconds*2_000},
		{streams, 0, 0},
	} {
		t.Run(fmt.Sprint(c.table), func(t *testing.T) {
			reads := readsWithTable(streams, c.table, seconds)
			t.Logf("%d reads in %d s", reads, seconds)
			require.GreaterOrEqual(t, reads, c.least)
			require.LessOrEqual(t, reads, c.most)
		})
	}
}

func readsWithTable(streams, table, seconds int) (reads int) {
	random := rand.New(rand.NewPCG(1, 2))
	r, all := one(streams)
	armed, isArmed, now := []int{}, make([]bool, streams), int64(0)
	arm := func(i int) {
		if !isArmed[i] {
			isArmed[i] = true
			armed = append(armed, i)
		}
		if last := len(armed) - 1; last == table {
			k := random.IntN(last)
			victim := armed[k]
			armed[k], armed = armed[last], armed[:last]
			isArmed[victim] = false
			r.ring(string(all[victim].source.(named)), now)
		}
	}
	for i := range all {
		arm(i)
	}
	for ; now < int64(seconds)*int64(time.Second); now += ms {
		r.tick(now)
		for _, turn := range r.take(r.lanes[""], 256, nil) {
			reads++
			arm(int(turn.h.place))
			r.arrived(turn.h, 0, false, r.epoch)
			turn.h.clear(look)
			r.settle(turn.h, Rest, r.epoch, now)
		}
	}
	return reads
}

// Timers come in the order of their times.
func TestTimersAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var timers timers
		due := make(map[*stream]int64)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				h := &stream{timer: -1}
				due[h] = rapid.Int64Range(0, 100).Draw(t, "due")
				timers.add(h, due[h])
			},
			"remove": func(t *rapid.T) {
				if len(timers) > 0 {
					h := timers[rapid.IntRange(0, len(timers)-1).Draw(t, "which")].h
					timers.remove(h)
					timers.remove(h) // again does nothing
					delete(due, h)
				}
			},
			"expire": func(t *rapid.T) {
				now, earliest := rapid.Int64Range(0, 100).Draw(t, "now"), int64(never)
				for _, d := range due {
					earliest = min(earliest, d)
				}
				h := timers.expire(now)
				require.Equal(t, h != nil, earliest <= now)
				if h != nil {
					require.Equal(t, earliest, due[h])
					delete(due, h)
				}
			},
			"": func(t *rapid.T) {
				require.Len(t, timers, len(due))
				for i, timer := range timers {
					require.Equal(t, i, int(timer.h.timer))
				}
			},
		})
	})
}

// A pipeline never reserves more than its share, but for one message.
func TestPlanAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := budget{max: rapid.Int64Range(1, 1<<20).Draw(t, "max")}
		b.add(rapid.Int64Range(0, b.max).Draw(t, "used"))
		share := b.share()
		if b.used()-share == b.max {
			require.Zero(t, share)
			return
		}
		require.Positive(t, share)
		require.LessOrEqual(t, share, max(b.max/8, 1))
		require.LessOrEqual(t, b.used(), b.max)
		streams, left := rapid.IntRange(1, 300).Draw(t, "streams"), share
		for i := range streams {
			mean, count := rapid.Int64Range(1, 1<<16).Draw(t, "mean"), rapid.IntRange(1, 1000).Draw(t, "count")
			n, reserved := plan(left, share, streams, mean, count, rapid.Bool().Draw(t, "full"), i == 0)
			require.LessOrEqual(t, n, count)
			require.Equal(t, int64(n)*mean, reserved)
			if n == 0 {
				require.Positive(t, i, "the first passes")
				break
			}
			require.True(t, reserved <= left || i == 0 && n == 1)
			left -= reserved
		}
	})
}

// A stream that moves while it is taken, and finds no room, is known to its new lane.
func TestStreamThatMovesAndFindsNoRoomWakesItsLane(t *testing.T) {
	master := "a"
	r := newRoster(func(uint16) string { return master })
	h := &stream{source: named("x")}
	r.add(h, "x")
	turns := r.take(r.lanes["a"], 10, nil)
	require.Len(t, turns, 1)
	from := r.lanes["a"]
	master = "b"
	require.Equal(t, 1, r.regroup(0))
	var woken []string
	r.woke = func(l *lane) { woken = append(woken, l.addr) }
	r.untake(h, from)
	require.Equal(t, []string{"b"}, woken)
	require.Len(t, r.take(r.lanes["b"], 10, nil), 1)
}

// Lanes have their own queues, and what moves is passed on.
func TestQueuesTakeTurns(t *testing.T) {
	r, all := one(40)
	for i, h := range all {
		if i < 20 {
			r.wake(h, true, 0) // hot
		} else {
			r.queue(h, false)
		}
	}
	hot := 0
	for _, turn := range r.take(r.lanes[""], 20, nil) {
		if turn.h.place < 20 {
			hot++
		}
	}
	require.Equal(t, 15, hot, "three of four")
	require.Len(t, r.take(r.lanes[""], 100, nil), 20)
}
