package scan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// fleet is a service in numbers: processes that take streams, die, and are recovered, in steps of a second. Nothing runs
// but Judge and Convict.
type fleet struct {
	Config
	rnd       *rand.Rand
	streams   []fleetStream
	processes []fleetProcess
	graves    []fleetGrave
	now       time.Duration

	// mortal is when a process dies for reasons of its own, after its start; nil: never.
	mortal func() time.Duration

	// restart is how long a process is away after it died.
	restart time.Duration

	// turnover is the share of the first so many streams that end each second, for new ones to come.
	turnover float64
	brief    int

	deaths  int // so far
	letters []int
	longest time.Duration // delay
	alarms  int           // deaths after which Convict told of some that wait
}

type fleetStream struct {
	killer   bool
	after    time.Duration // it kills
	reads    bool          // it kills who reads it
	owner    int           // -1: waits
	since    time.Duration // it was acquired, or read
	due      time.Duration
	crashes  int
	onlyRead bool
	dead     bool
	kills    int
}

type fleetProcess struct {
	up, dies time.Duration
	alive    bool
}

// fleetGrave is a dead process that nobody has recovered yet.
type fleetGrave struct {
	found   time.Duration
	death   sessionEnd // but Now
	streams []int
}

const fleetTTL = 10 * time.Second

// fleetNever is when what never happens does.
const fleetNever = 1 << 62

func newFleet(seed uint64, processes, streams int) *fleet {
	f := &fleet{Config: Config{}.WithDefaults(), restart: time.Second, rnd: rand.New(rand.NewPCG(seed, 1))}
	f.streams = make([]fleetStream, streams)
	for i := range f.streams {
		f.streams[i].owner = -1
	}
	f.processes = make([]fleetProcess, processes)
	return f
}

// kill makes killers of n streams.
func (f *fleet) kill(n int, after time.Duration, reads bool) *fleet {
	for _, i := range f.rnd.Perm(len(f.streams))[:n] {
		s := &f.streams[i]
		s.killer, s.after, s.reads = true, after, reads
	}
	return f
}

// step is a second.
func (f *fleet) step() {
	f.now += time.Second
	f.recover()
	var live []int
	for p := range f.processes {
		x := &f.processes[p]
		if !x.alive && x.up <= f.now {
			x.alive, x.dies = true, fleetNever
			if f.mortal != nil {
				x.dies = f.now + f.mortal()
			}
		}
		if x.alive {
			live = append(live, p)
		}
	}
	for i := range f.streams[:f.brief] {
		if s := &f.streams[i]; s.owner >= 0 && f.rnd.Float64() < f.turnover {
			*s = fleetStream{owner: -1, due: f.now}
		}
	}
	if len(live) > 0 {
		f.take(live)
	}
	for p := range f.processes {
		if x := &f.processes[p]; x.alive && x.dies <= f.now {
			f.die(p)
		}
	}
}

// take hands out what is due, in the order in which it came, each to any process.
func (f *fleet) take(live []int) {
	var due []int
	for i := range f.streams {
		if s := &f.streams[i]; s.owner < 0 && !s.dead && s.due <= f.now {
			due = append(due, i)
		}
	}
	slices.SortStableFunc(due, func(a, b int) int { return int(f.streams[a].due - f.streams[b].due) })
	deadly := map[int]bool{} // processes that have read what they cannot
	for n, i := range due {
		s := &f.streams[i]
		s.owner = live[f.rnd.IntN(len(live))]
		s.since = f.now + time.Duration(n)*20*time.Microsecond // later in a batch is later in time
		if s.killer && s.reads {
			deadly[s.owner] = true
		}
	}
	for _, i := range due {
		s := &f.streams[i]
		s.onlyRead = deadly[s.owner]
		switch x := &f.processes[s.owner]; {
		case s.onlyRead:
			x.dies = f.now
		case s.killer:
			x.dies = min(x.dies, f.now+s.after)
		}
	}
}

func (f *fleet) die(p int) {
	f.deaths++
	f.processes[p] = fleetProcess{up: f.now + f.restart}
	beat := f.now - time.Duration(f.rnd.Int64N(int64(time.Second)))
	g := fleetGrave{found: f.now + fleetTTL, death: sessionEnd{deadline: float64((beat + fleetTTL).Milliseconds()), ttl: fleetTTL}}
	for i := range f.streams {
		if s := &f.streams[i]; s.owner == p {
			g.streams = append(g.streams, i)
			s.owner, s.due = -1, fleetNever
			if s.killer {
				s.kills++
			}
		}
	}
	f.graves = append(f.graves, g)
}

// recover does what Recover does.
func (f *fleet) recover() {
	graves := f.graves
	f.graves = nil
	for _, g := range graves {
		if g.found > f.now || !slices.ContainsFunc(f.processes, func(p fleetProcess) bool { return p.alive }) {
			f.graves = append(f.graves, g)
			continue
		}
		g.death.now = f.now.Milliseconds()
		var suspects []poisonCandidate
		with := cohort{}
		for _, i := range g.streams {
			s := &f.streams[i]
			o := &orphan{readable: true}
			o.ID, o.Crashes, o.Idle, o.Deliveries = fmt.Sprint(i), s.crashes, f.now-s.since, lease.HeldDeliveries
			if s.onlyRead {
				o.Deliveries = 1
			}
			r := f.decide(o, g.death, f.rnd.Float64())
			switch {
			case f.isCandidate(r):
				suspects = append(suspects, poisonCandidate{Disposition: r, idle: o.Idle})
				continue
			case r.Crashes == 0:
				with.stable++
			case r.Crashes != lease.KeepCount:
				with.idles = append(with.idles, o.Idle)
			}
			f.back(i, r)
		}
		with.sole = len(f.streams) == 1
		if f.detectPoison(suspects, with, f.rnd.Float64) > 0 {
			f.alarms++
		}
		for _, r := range suspects {
			var i int
			_, _ = fmt.Sscan(r.Entry, &i)
			f.back(i, r.Disposition)
		}
	}
}

func (f *fleet) back(i int, r lease.Disposition) {
	s := &f.streams[i]
	if r.Crashes != lease.KeepCount {
		s.crashes = r.Crashes
	}
	if r.Dest == lease.ToDeadLetters {
		s.dead = true
		f.letters = append(f.letters, i)
		return
	}
	s.due = f.now + r.Delay
	f.longest = max(f.longest, r.Delay)
}

func (f *fleet) innocents() (n int) {
	for _, i := range f.letters {
		if !f.streams[i].killer {
			n++
		}
	}
	return n
}

// run lets processes die until that many killers are dead letters, or until there were that many deaths.
func (f *fleet) run(t *testing.T, killers, deaths int) {
	t.Helper()
	for len(f.letters)-f.innocents() < killers && f.deaths < deaths {
		f.step()
	}
	require.Zero(t, f.innocents(), "innocents in the dead letters after %d deaths", f.deaths)
}

// most is the greatest number of deaths that one killer took.
func (f *fleet) most() (n int) {
	for _, s := range f.streams {
		n = max(n, s.kills)
	}
	return n
}

// Streams that kill their owners are told from all that dies with them: in fleets of one process, where everything dies
// with them each time, and of many, some killers or one, that kill at once, after a while, or when they are read.
func TestKillersAreConvicted(t *testing.T) {
	seeds := uint64(4)
	for _, test := range []struct {
		processes, killers int
		after              time.Duration
		reads              bool
		most               int // deaths that a killer takes; what Convict's comment says
	}{
		{1, 1, 0, false, 32}, {1, 1, 10 * time.Second, false, 36}, {1, 1, 0, true, 32},
		{1, 2, 0, false, 36}, {1, 2, 10 * time.Second, false, 56}, {1, 2, 0, true, 36},
		{1, 5, 0, false, 45}, {1, 5, 10 * time.Second, false, 110}, {1, 5, 0, true, 45},
		{4, 1, 0, false, 24}, {4, 1, 10 * time.Second, false, 24}, {4, 1, 0, true, 24},
		{4, 2, 0, false, 30}, {4, 2, 10 * time.Second, false, 32}, {4, 2, 0, true, 30},
		{4, 5, 0, false, 42}, {4, 5, 10 * time.Second, false, 58}, {4, 5, 0, true, 42},
		{20, 1, 0, false, 24}, {20, 1, 10 * time.Second, false, 24}, {20, 1, 0, true, 24},
		{20, 2, 0, false, 24}, {20, 2, 10 * time.Second, false, 24}, {20, 2, 0, true, 24},
		{20, 5, 0, false, 28}, {20, 5, 10 * time.Second, false, 28}, {20, 5, 0, true, 28},
	} {
		name := fmt.Sprintf("%d killers after %v in %d processes", test.killers, test.after, test.processes)
		if test.reads {
			name = fmt.Sprintf("%d killers when read in %d processes", test.killers, test.processes)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				f := newFleet(seed, test.processes, 300).kill(test.killers, test.after, test.reads)
				f.run(t, test.killers, test.killers*test.most)
				require.Len(t, f.letters, test.killers, "after %d deaths", f.deaths)
				require.LessOrEqual(t, f.most(), test.most)
			}
		})
	}
}

// A process that its supervisor keeps away for five minutes finds almost everything waiting when it comes back, and takes it
// at once.
func TestKillerIsConvictedWhereProcessesStayAwayForLong(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Second} {
		for seed := range uint64(8) {
			f := newFleet(seed, 1, 300).kill(1, after, false)
			f.restart = 5 * time.Minute
			f.run(t, 1, 120)
			require.Len(t, f.letters, 1, "killer after %v, %d deaths", after, f.deaths)
			t.Log(after, f.deaths)
		}
	}
}

// One process that was killed 31 times, by somebody who restarts it or by a lack of memory, had all its 300 streams become
// dead letters. Where everything is equally suspect nothing is convicted: it waits, with delays that grow to the longest, and
// those who look are told.
func TestCrashLoopThatIsNobodysFaultConvictsNobody(t *testing.T) {
	chance := func(mean time.Duration) func(*rand.Rand) time.Duration {
		return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
	}
	always := func(d time.Duration) func(*rand.Rand) time.Duration {
		return func(*rand.Rand) time.Duration { return d }
	}
	for name, mortal := range map[string]func(*rand.Rand) time.Duration{
		"2s": always(2 * time.Second), "30s": always(30 * time.Second), "100s": always(100 * time.Second), "4m": always(4 * time.Minute),
		"2m by chance": chance(2 * time.Minute), "5m by chance": chance(5 * time.Minute),
	} {
		for _, processes := range []int{1, 4} {
			// Streams that last, and streams that end after a minute on average: of those others come.
			for _, brief := range []int{0, 270, 299} {
				away := brief == 0 && processes == 1 && name != "100s"
				t.Run(fmt.Sprintf("every %s, %d processes, %d brief streams, away for long %v", name, processes, brief, away), func(t *testing.T) {
					t.Parallel()
					f := newFleet(7, processes, 300)
					f.mortal = func() time.Duration { return mortal(f.rnd) }
					f.brief, f.turnover = brief, 1.0/60
					if away {
						f.restart = 5 * time.Minute
					}
					f.run(t, 1, 150)
					require.Empty(t, f.letters)
					if brief == 0 && processes == 1 && name == "100s" {
						require.Greater(t, f.longest, f.MaxCrashDelay, "the longest delay, and jitter")
						require.Positive(t, f.alarms)
					}
				})
			}
		}
	}
}

// What a producer writes into the count of crashes costs its own stream a part of its chances, and saves no killer.
func TestMadeUpCrashCountsSaveNoKiller(t *testing.T) {
	for name, claim := range map[string]int{"a million": 1e6, "the limit": 10, "beyond it": 28} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(3, 1, 300).kill(1, 0, false)
			liars := 0
			for i := range f.streams {
				if !f.streams[i].killer && i%10 == 0 {
					f.streams[i].crashes = claim
					liars++
				}
			}
			for f.most() < 36 && !slices.ContainsFunc(f.letters, func(i int) bool { return f.streams[i].killer }) {
				f.step()
			}
			honest := 0
			killer := false
			for _, i := range f.letters {
				switch {
				case f.streams[i].killer:
					killer = true
				case i%10 != 0:
					honest++
				}
			}
			require.True(t, killer)
			require.Zero(t, honest)
			require.Less(t, len(f.letters), liars, "many of those who lie live on")
		})
	}
}
