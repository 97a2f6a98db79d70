package balance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/engine/balance"
)

// looker looks once a second at a fleet that a test changes.
type looker struct {
	*balance.Shedder
	look  balance.Look
	draws int // of random numbers
}

// newLooker is in a quiet fleet of four, in which it holds too much, or all. Each Patience is 33 s.
func newLooker(c balance.Config, held int) *looker {
	l := &looker{look: balance.Look{Share: balance.ShareOf(1, one(10_000, 4, 2500)), Held: 2500, Changes: 4, Settled: true}}
	l.Shedder = balance.NewShedder(c, func() float64 { l.draws++; return 0.5 })
	l.after(300)
	l.look.Share, l.look.Held = balance.ShareOf(1, one(10_000, 4, 0)), held
	return l
}

// after looks for so many seconds and returns the last pace.
func (l *looker) after(seconds int) balance.Pace {
	var p balance.Pace
	for range seconds {
		l.look.Now += time.Second
		p = l.Look(l.look)
	}
	return p
}

func TestShedderIsPatient(t *testing.T) {
	l := newLooker(all, 4000)
	require.Equal(t, balance.Pace{}, l.after(1), "it has just become too much")
	require.Equal(t, balance.Pace{Over: 32 * time.Second}, l.after(32))
	require.Equal(t, balance.Pace{Rate: 200, Stop: 2500, Over: 33 * time.Second}, l.after(1))
	require.Equal(t, 1, l.draws, "once a start")

	l.look.Held = 2500
	require.Equal(t, balance.Pace{}, l.after(1), "it is not too much any more")
	l.look.Held = 4000
	require.Zero(t, l.after(33).Rate, "patience starts again")
	require.NotZero(t, l.after(1).Rate)
	require.Equal(t, 2, l.draws)
}

func TestShedderStops(t *testing.T) {
	l := newLooker(all, 4000)
	l.after(34)
	l.look.Held = 2600
	require.Equal(t, 2500, l.after(1).Stop, "somebody has less than the rest")
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 2400))
	p := l.after(1)
	require.Equal(t, 2551, p.Stop, "even")
	require.InDelta(t, 500*2600/10_000, p.Rate, 1e-9)
	l.look.Held = 2551
	require.Equal(t, balance.Pace{}, l.after(1))
	l.look.Held = 2600
	require.Equal(t, balance.Pace{}, l.after(300), "less than a tenth too much")
}

func TestShedderGivesForWhoIsIdle(t *testing.T) {
	l := newLooker(all, 2501)
	require.NotZero(t, l.after(34).Rate)
	l = newLooker(all, 2500)
	require.Equal(t, balance.Pace{}, l.after(300), "it has its share")
	l = newLooker(all, 2700)
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 1250))
	require.Equal(t, balance.Pace{}, l.after(300), "nobody is idle")
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 1249))
	l.after(20)
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 1500))
	require.NotZero(t, l.after(14).Rate, "others have given already; it goes on until the fleet is even")

	l = newLooker(all, 4000)
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 1500))
	l.after(20)
	l.look.Held = 2600
	require.Equal(t, balance.Pace{}, l.after(300), "it does not hold too much any more, and nobody was idle")
	l.look.Share = balance.ShareOf(1, one(3, 10, 0))
	l.look.Held = 1
	require.Equal(t, balance.Pace{}, l.after(300), "some have nothing where there are fewer streams than processes")
}

// What the gate lets in is never too much: with a share of 1.5 that may be 3.
func TestShedderKeepsWhatTheGateLetIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weight := rapid.Float64Range(0.01, 10).Draw(t, "weight")
		s := balance.ShareOf(weight, one(rapid.IntRange(0, 500).Draw(t, "total"), weight+rapid.Float64Range(0.01, 20).Draw(t, "others"), -1))
		l := newLooker(all, s.Room(0))
		l.look.Share = s
		require.Equal(t, balance.Pace{}, l.after(300))
	})
}

func TestShedderWaitsUntilItIsQuiet(t *testing.T) {
	l := newLooker(all, 3000)
	l.look.Changes++
	p := l.after(34)
	require.Equal(t, balance.Pace{Over: 33 * time.Second, HeldOff: balance.HeldOffQuiet}, p)
	require.Zero(t, l.after(123-34).Rate)
	require.NotZero(t, l.after(1).Rate)
	l.look.Changes++
	require.Equal(t, balance.HeldOffQuiet, l.after(1).HeldOff, "somebody joins while it gives")
	require.Equal(t, balance.HeldOffQuiet, l.after(100).HeldOff)
	require.NotZero(t, l.after(30).Rate)

	l = newLooker(all, 3750)
	l.look.Changes++
	require.NotZero(t, l.after(34).Rate, "half too much is given in any case")
	l.look.Held = 3000
	require.NotZero(t, l.after(1).Rate, "and so is the rest")
	l.look.Changes--
	require.Zero(t, l.after(1).Rate, "unless the fleet changes again")
}

// Two processes join and leave all the time.
func TestShedderIsHeldOffForTenMinutes(t *testing.T) {
	busy := func(l *looker, seconds int) (rates int) {
		for i := range seconds {
			if i%60 == 0 {
				l.look.Changes++
			}
			if l.after(1).Rate > 0 {
				rates++
			}
		}
		return rates
	}
	l := newLooker(all, 3000)
	require.Zero(t, busy(l, 630))
	require.NotZero(t, busy(l, 10))
	require.Equal(t, 200, busy(l, 200), "then nothing holds it off")

	l = newLooker(all, 2700)
	require.Zero(t, busy(l, 3600), "it holds less than a tenth too much, and who is idle may be the one that comes and goes")
}

func TestShedderDoesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		config balance.Config
		change func(*balance.Look)
		pace   balance.Pace // after 100 s
	}{
		{"shedding is off", gateOnly, func(*balance.Look) {}, balance.Pace{Over: 99 * time.Second}},
		{"the gate is off", balance.Config{Gate: balance.Off}, func(*balance.Look) {}, balance.Pace{Over: 99 * time.Second}},
		{"frozen", all, func(l *balance.Look) { l.Frozen = true }, balance.Pace{Over: 99 * time.Second, HeldOff: balance.HeldOffFrozen}},
		{"alone", all, func(l *balance.Look) { l.Share = balance.ShareOf(1, one(10_000, 1, 10_000)) }, balance.Pace{}},
		{"nobody shares", all, func(l *balance.Look) { l.Share = balance.ShareOf(1, one(10_000, 0, -1)) }, balance.Pace{}},
		{"it does not share", all, func(l *balance.Look) { l.Share = balance.ShareOf(0, one(6000, 3, 2000)) }, balance.Pace{}},
		{"no streams are counted", all, func(l *balance.Look) { l.Share = balance.ShareOf(1, one(0, 3, 0)) }, balance.Pace{}},
		{"nothing is settled", all, func(l *balance.Look) { l.Settled = false }, balance.Pace{}},
	} {
		l := newLooker(c.config, 4000)
		c.change(&l.look)
		require.Equal(t, c.pace, l.after(100), c.name)
	}
}

// Time without knowledge is no time of patience, and does not end it either.
func TestShedderWhileUnsettled(t *testing.T) {
	l := newLooker(all, 4000)
	l.after(31)
	l.look.Settled = false
	require.Equal(t, balance.Pace{Over: 330 * time.Second}, l.after(300))
	l.look.Settled = true
	require.Zero(t, l.after(2).Rate)
	require.NotZero(t, l.after(1).Rate)
	l.look.Settled = false
	l.look.Share = balance.Share{Open: true}
	p := l.after(1)
	require.Zero(t, p.Rate)
	l.look.Settled = true
	l.look.Share = balance.ShareOf(1, one(10_000, 4, 0))
	require.NotZero(t, l.after(2).Rate)
}

func TestShedderAfterAFreeze(t *testing.T) {
	l := newLooker(all, 4000)
	l.look.Frozen = true
	require.Zero(t, l.after(20).HeldOff, "it would not give yet anyway")
	require.Equal(t, balance.HeldOffFrozen, l.after(100).HeldOff)
	l.look.Settled = false
	require.NotEqual(t, balance.HeldOffFrozen, l.after(2).HeldOff)
	l.look.Settled, l.look.Frozen = true, false
	require.NotZero(t, l.after(3).Rate)
}

// Entries wait although somebody gives: nobody takes them.
func TestShedderBacksOffWhenNobodyTakes(t *testing.T) {
	l := newLooker(all, 4000)
	require.Equal(t, 200.0, l.after(34).Rate)
	for _, pause := range []int{33, 66, 132, 264, 528, 600, 600} {
		l.look.Waited = 300 * time.Millisecond
		require.Equal(t, balance.HeldOffUntaken, l.after(1).HeldOff)
		l.look.Waited = 0
		require.Equal(t, balance.HeldOffUntaken, l.after(pause-1).HeldOff)
		p := l.after(1)
		require.NotZero(t, p.Rate, "it tries again after %d s", pause)
		require.Less(t, p.Rate, 101.0, "and gives less")
	}
	require.InDelta(t, 200.0, l.after(100).Rate, 1e-9, "they take")
}

// Whatever it sees, a process gives no more than it has beyond its share, within the budget, and nothing before it has been
// patient.
func TestShedderIsModest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := balance.NewShedder(balance.Config{Budget: 100}, func() float64 { return 0.5 })
		look := balance.Look{}
		for range rapid.IntRange(1, 200).Draw(t, "looks") {
			look.Now += time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second
			look.Held = rapid.IntRange(0, 4000).Draw(t, "held")
			look.Share = balance.ShareOf(rapid.SampledFrom([]float64{0, 1, 3}).Draw(t, "weight"), one(look.Held+rapid.IntRange(0, 9000).Draw(t, "others"),
				rapid.SampledFrom([]float64{0, 1, 4, 100}).Draw(t, "sum"), rapid.Float64Range(-1, 3000).Draw(t, "least")))
			look.Changes += int64(rapid.IntRange(0, 20).Draw(t, "changes") / 20)
			look.Settled = rapid.IntRange(0, 9).Draw(t, "settled") > 0
			look.Frozen = rapid.IntRange(0, 9).Draw(t, "frozen") == 0
			p := s.Look(look)
			if p.Rate == 0 {
				continue
			}
			require.True(t, look.Settled && !look.Frozen && !look.Share.Open && look.Share.Fair > 0)
			require.Equal(t, balance.NotHeldOff, p.HeldOff)
			require.LessOrEqual(t, p.Rate, 100*float64(look.Held)/float64(look.Share.Total)+1e-9)
			require.GreaterOrEqual(t, float64(p.Stop), look.Share.Fair-1e-3)
			require.Less(t, p.Stop, look.Held)
			require.GreaterOrEqual(t, p.Over, balance.Patience)
		}
	})
}
