package balance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/balance"
)

// A process that comes and goes gets what it would get anyway, and nothing is given for it.
func TestFlappingProcess(t *testing.T) {
	var rows []row
	for _, c := range []struct {
		name     string
		up, down float64
	}{{"up 20 s, down 10 s, 10 min", 20, 10}, {"up 90 s, down 30 s, 10 min", 90, 30}} {
		f := settled(all, 4, 10_000, 0, 1)
		for f.now < f.mark+600*second {
			p := f.join(1)
			f.run(c.up)
			f.drain(p)
			f.run(c.down)
		}
		r := f.result(c.name)
		require.Zero(t, r.moved)
		rows = append(rows, r)
	}

	before, now := crashLoop(nothing), crashLoop(all)
	require.Zero(t, now.sheds)
	require.LessOrEqual(t, float64(now.crashes), 1.3*float64(before.crashes), "streams that are in its crashes")
	golden(t, "flapping", append(rows, before, now)...)
}

// crashLoop has a fifth process crash 20 s after each start, and start 10 s later, while streams live for five minutes.
func crashLoop(c balance.Config) row {
	f := settled(c, 4, 10_000, 10_000, 1)
	for crashes := range 20 {
		p := f.join(1, crashed(crashes))
		for range 30 * second {
			for ends := f.random.Float64() * 2 * 10_000 / 300 / float64(second); ends > f.random.Float64(); ends-- {
				if f.end() {
					f.arrive()
				}
			}
			f.step()
			if f.now-p.born == 20*second {
				f.kill(p)
			}
		}
	}
	if c.Gate == balance.Off {
		return f.result("crashes each 20 s, streams live 5 min, all off")
	}
	return f.result("crashes each 20 s, streams live 5 min")
}

// Who cannot take more leaves the sums, and does not make the others give to each other.
func TestProcessesThatDoNotRead(t *testing.T) {
	f := settled(all, 4, 10_000, 0, 1)
	f.live[0].paused = true
	f.run(600)
	paused := f.result("4, one is paused")
	require.Zero(t, paused.moved)
	require.Equal(t, 2500, f.live[0].held, "it keeps what it has")
	f.join(1)
	f.run(400)
	joins := f.result("4, one is paused, another one joins")
	require.Equal(t, 2500, f.live[0].held)
	joins.spreadWithin(t, 0.9, 1.1)
	require.Equal(t, 1, joins.most)

	f = settled(all, 2, 10_000, 0, 1)
	for range 2 {
		f.join(1, func(p *process) { p.limit = 1000 })
	}
	f.run(600)
	small := f.result("2 -> 4, the new ones take 1,000 at most")
	require.Equal(t, []int{1000, 1000}, small.held[2:])
	small.spreadWithin(t, 0.94, 1.06)
	require.Equal(t, 1, small.most)

	// It holds all there is, and as much as it may: that must not keep it from giving.
	f = settled(all, 1, 10_000, 0, 1)
	f.live[0].limit = 10_000
	f.joinAll(3)
	f.run(400)
	full := f.result("1 -> 4, the old one is at its limit")
	full.balancedWithin(t, 75)
	require.Equal(t, 1, full.most)

	// A fault: it is counted, and does not read. The others find out.
	f = settled(all, 4, 10_000, 0, 1)
	f.join(1, func(p *process) { p.deaf = true })
	f.run(3600)
	deaf := f.result("4 -> 5, the new one never reads, 1 h")
	require.LessOrEqual(t, deaf.moved, 10_000, "without finding out it is 100 a second, 360,000")
	require.LessOrEqual(t, deaf.greatest, 1.6)
	golden(t, "not-reading", paused, joins, small, full, deaf)
}

// Its fill stays the least of all until it is recovered. Nobody gives for its sake.
func TestProcessThatDiesEmpty(t *testing.T) {
	f := settled(all, 4, 10_000, 0, 1)
	for range 5 {
		p := f.join(1)
		f.run(1)
		f.kill(p)
		f.run(100)
	}
	f.run(300)
	require.Zero(t, f.moved)
	require.Zero(t, f.live[0].pace.Over)
}

// Nobody shares: what comes waits, and nothing is given. The first that takes again gets it.
func TestEverybodyIsAtItsLimit(t *testing.T) {
	f := settled(all, 4, 10_000, 1000, 1)
	for _, p := range f.live {
		p.limit = 2500
	}
	f.run(6) // reads that wait are over
	for range 1000 {
		f.arrive()
	}
	f.run(120)
	require.Zero(t, f.books.weight)
	require.Equal(t, 1000, f.partitions[0].queue.n)
	f.live[0].limit = 0
	f.run(3)
	require.Zero(t, f.partitions[0].queue.n)
	require.Equal(t, 3500, f.live[0].held)
	f.run(600)
	require.Zero(t, f.moved)
}

// Older versions are counted, say nothing of themselves, and read without a gate.
func TestOlderVersions(t *testing.T) {
	f := settled(all, 2, 10_000, 0, 1)
	f.join(1, old)
	f.join(1, old)
	f.run(600)
	join := f.result("2 -> 4, the new ones are of an older version")
	join.balancedWithin(t, 75)
	require.Equal(t, 1, join.most)

	f = newFleet(all, 10_000, 0, 1)
	for range 4 {
		f.join(1, old)
	}
	f.deal(func(i int) int { return i % 4 }, 10_000)
	upgrade := f.live
	for _, p := range upgrade {
		f.join(1)
		f.run(5)
		f.drain(p)
		f.run(30)
	}
	f.run(400)
	upgraded := f.result("4 of an older version are replaced one by one")
	upgraded.spreadWithin(t, 0.8, 1.1)
	require.LessOrEqual(t, upgraded.moves, 2.1)
	golden(t, "older-versions", join, upgraded)
}

// While anybody's freeze lasts nothing moves.
func TestFreezes(t *testing.T) {
	f := settled(all, 1, 10_000, 0, 1)
	f.joinAll(3)
	f.frozen = true // the first one's, until 90 s; the second one's, from 60 to 150 s
	f.run(150)
	require.Zero(t, f.moved)
	require.Equal(t, balance.HeldOffFrozen, f.live[0].pace.HeldOff)
	f.frozen = false
	f.run(5)
	require.Positive(t, f.moved)
	f.frozen = true
	f.run(2)
	moved := f.moved
	f.run(60)
	require.Equal(t, moved, f.moved)
	f.frozen = false
	f.run(300)
	r := f.result("1 -> 4, frozen for 150 s, and again for 60 s")
	r.balancedWithin(t, 240)
	require.Equal(t, 1, r.most)
	golden(t, "frozen", r)
}

// Handlers that end late make shedding slow; those that do not end make it stop, but not what others hold.
func TestSlowHandlers(t *testing.T) {
	f := settled(all, 1, 10_000, 0, 1)
	f.joinAll(3)
	f.handler = func(int32) int32 { return second/5 + int32(f.random.IntN(int(second/5))) }
	f.run(600)
	slow := f.result("1 -> 4, handlers take 200 to 400 ms")
	slow.balancedWithin(t, 120)
	require.Equal(t, 1, slow.most)

	f = settled(all, 1, 10_000, 0, 1)
	f.joinAll(3)
	f.handler = func(stream int32) int32 {
		if stream%100 == 0 {
			return never
		}
		return second
	}
	f.run(600)
	some := f.result("1 -> 4, 1 s, and one of 100 never ends")
	some.balancedWithin(t, 360)

	f = settled(all, 1, 10_000, 0, 1)
	f.joinAll(3)
	f.handler = func(int32) int32 { return never }
	f.run(240)
	stuck := f.result("1 -> 4, no handler ends, 4 min")
	require.Zero(t, stuck.moved)
	require.LessOrEqual(t, stuck.sheds, 8*balance.Unanswered, "64 each 30 s")
	golden(t, "slow-handlers", slow, some, stuck)
}
