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

// simulation is a service in numbers: processes that take streams, die, and are recovered, in steps of a second. Of the real code
// only decide and detectPoison run.
type simulation struct {
	Config
	rnd         *rand.Rand
	streams     []simStream
	processes   []simProcess
	unrecovered []simDeath
	now         time.Duration

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
	alarms  int           // deaths after which detectPoison reported suspected ones
}

type simStream struct {
	killer   bool
	after    time.Duration // it kills
	reads    bool          // it kills when it is read
	owner    int           // -1: waits
	since    time.Duration // it was acquired, or read
	due      time.Duration
	crashes  int
	onlyRead bool
	dead     bool
	kills    int
}

type simProcess struct {
	up, dies time.Duration
	alive    bool
}

// simDeath is a dead process that nobody has recovered yet.
type simDeath struct {
	found   time.Duration
	end     sessionEnd // except now
	streams []int
}

const simTTL = 10 * time.Second

// never is the time of what does not happen.
const never = 1 << 62

func newSimulation(seed uint64, processes, streams int) *simulation {
	sim := &simulation{Config: Config{}.WithDefaults(), restart: time.Second, rnd: rand.New(rand.NewPCG(seed, 1))}
	sim.streams = make([]simStream, streams)
	for i := range sim.streams {
		sim.streams[i].owner = -1
	}
	sim.processes = make([]simProcess, processes)
	return sim
}

// kill makes n streams killers.
func (sim *simulation) kill(n int, after time.Duration, reads bool) *simulation {
	for _, i := range sim.rnd.Perm(len(sim.streams))[:n] {
		s := &sim.streams[i]
		s.killer, s.after, s.reads = true, after, reads
	}
	return sim
}

// step simulates a second.
func (sim *simulation) step() {
	sim.now += time.Second
	sim.recover()
	var live []int
	for p := range sim.processes {
		x := &sim.processes[p]
		if !x.alive && x.up <= sim.now {
			x.alive, x.dies = true, never
			if sim.mortal != nil {
				x.dies = sim.now + sim.mortal()
			}
		}
		if x.alive {
			live = append(live, p)
		}
	}
	for i := range sim.streams[:sim.brief] {
		if s := &sim.streams[i]; s.owner >= 0 && sim.rnd.Float64() < sim.turnover {
			*s = simStream{owner: -1, due: sim.now}
		}
	}
	if len(live) > 0 {
		sim.take(live)
	}
	for p := range sim.processes {
		if x := &sim.processes[p]; x.alive && x.dies <= sim.now {
			sim.die(p)
		}
	}
}

// take hands out what is due, in the order in which it came, each to any process.
func (sim *simulation) take(live []int) {
	var due []int
	for i := range sim.streams {
		if s := &sim.streams[i]; s.owner < 0 && !s.dead && s.due <= sim.now {
			due = append(due, i)
		}
	}
	slices.SortStableFunc(due, func(a, b int) int { return int(sim.streams[a].due - sim.streams[b].due) })
	deadly := map[int]bool{} // processes that have read what they cannot
	for n, i := range due {
		s := &sim.streams[i]
		s.owner = live[sim.rnd.IntN(len(live))]
		s.since = sim.now + time.Duration(n)*20*time.Microsecond // later in a batch is later in time
		if s.killer && s.reads {
			deadly[s.owner] = true
		}
	}
	for _, i := range due {
		s := &sim.streams[i]
		s.onlyRead = deadly[s.owner]
		switch x := &sim.processes[s.owner]; {
		case s.onlyRead:
			x.dies = sim.now
		case s.killer:
			x.dies = min(x.dies, sim.now+s.after)
		}
	}
}

func (sim *simulation) die(p int) {
	sim.deaths++
	sim.processes[p] = simProcess{up: sim.now + sim.restart}
	beat := sim.now - time.Duration(sim.rnd.Int64N(int64(time.Second)))
	g := simDeath{found: sim.now + simTTL, end: sessionEnd{deadline: float64((beat + simTTL).Milliseconds()), ttl: simTTL}}
	for i := range sim.streams {
		if s := &sim.streams[i]; s.owner == p {
			g.streams = append(g.streams, i)
			s.owner, s.due = -1, never
			if s.killer {
				s.kills++
			}
		}
	}
	sim.unrecovered = append(sim.unrecovered, g)
}

// recover does what Recover does.
func (sim *simulation) recover() {
	unrecovered := sim.unrecovered
	sim.unrecovered = nil
	for _, g := range unrecovered {
		if g.found > sim.now || !slices.ContainsFunc(sim.processes, func(p simProcess) bool { return p.alive }) {
			sim.unrecovered = append(sim.unrecovered, g)
			continue
		}
		g.end.now = sim.now.Milliseconds()
		var candidates []poisonCandidate
		others := cohort{}
		for _, i := range g.streams {
			s := &sim.streams[i]
			o := &orphan{readable: true}
			o.ID, o.Crashes, o.Idle, o.Deliveries = fmt.Sprint(i), s.crashes, sim.now-s.since, lease.HeldDeliveries
			if s.onlyRead {
				o.Deliveries = 1
			}
			r := sim.decide(o, g.end, sim.rnd.Float64())
			switch {
			case sim.isCandidate(r):
				candidates = append(candidates, poisonCandidate{Disposition: r, idle: o.Idle})
				continue
			case r.Crashes == 0:
				others.stable++
			case r.Crashes != lease.KeepCount:
				others.idles = append(others.idles, o.Idle)
			}
			sim.back(i, r)
		}
		others.sole = len(sim.streams) == 1
		if sim.detectPoison(candidates, others, sim.rnd.Float64) > 0 {
			sim.alarms++
		}
		for _, r := range candidates {
			var i int
			_, _ = fmt.Sscan(r.Entry, &i)
			sim.back(i, r.Disposition)
		}
	}
}

func (sim *simulation) back(i int, r lease.Disposition) {
	s := &sim.streams[i]
	if r.Crashes != lease.KeepCount {
		s.crashes = r.Crashes
	}
	if r.Dest == lease.ToDeadLetters {
		s.dead = true
		sim.letters = append(sim.letters, i)
		return
	}
	s.due = sim.now + r.Delay
	sim.longest = max(sim.longest, r.Delay)
}

func (sim *simulation) innocents() (n int) {
	for _, i := range sim.letters {
		if !sim.streams[i].killer {
			n++
		}
	}
	return n
}

// run lets processes die until that many killers are dead letters, or until there were that many deaths.
func (sim *simulation) run(t *testing.T, killers, deaths int) {
	t.Helper()
	for len(sim.letters)-sim.innocents() < killers && sim.deaths < deaths {
		sim.step()
	}
	require.Zero(t, sim.innocents(), "innocents in the dead letters after %d deaths", sim.deaths)
}

// most is the greatest number of deaths that one killer took.
func (sim *simulation) most() (n int) {
	for _, s := range sim.streams {
		n = max(n, s.kills)
	}
	return n
}

// Streams that kill their owners are distinguished from everything that dies with them: in fleets of one process, where everything dies
// with them each time, and of many, some killers or one, that kill at once, after a while, or when they are read.
func TestKillersAreDetected(t *testing.T) {
	seeds := uint64(4)
	for _, test := range []struct {
		processes, killers int
		after              time.Duration
		reads              bool
		most               int // deaths that a killer takes, as in the comment of detectPoison
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
				sim := newSimulation(seed, test.processes, 300).kill(test.killers, test.after, test.reads)
				sim.run(t, test.killers, test.killers*test.most)
				require.Len(t, sim.letters, test.killers, "after %d deaths", sim.deaths)
				require.LessOrEqual(t, sim.most(), test.most)
			}
		})
	}
}

// A process that its supervisor keeps away for five minutes finds almost everything waiting when it comes back, and takes it
// at once.
func TestKillerIsDetectedWhereProcessesStayAwayForLong(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Second} {
		for seed := range uint64(8) {
			sim := newSimulation(seed, 1, 300).kill(1, after, false)
			sim.restart = 5 * time.Minute
			sim.run(t, 1, 120)
			require.Len(t, sim.letters, 1, "killer after %v, %d deaths", after, sim.deaths)
			t.Log(after, sim.deaths)
		}
	}
}

// One process that was killed 31 times, by somebody who restarts it or by a lack of memory, had all its 300 streams become
// dead letters. Where everything is equally suspect nothing is poison: it waits, with delays that grow to the longest, and an
// event reports it.
func TestCrashLoopThatIsNobodysFaultFindsNoPoison(t *testing.T) {
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
					sim := newSimulation(7, processes, 300)
					sim.mortal = func() time.Duration { return mortal(sim.rnd) }
					sim.brief, sim.turnover = brief, 1.0/60
					if away {
						sim.restart = 5 * time.Minute
					}
					sim.run(t, 1, 150)
					require.Empty(t, sim.letters)
					if brief == 0 && processes == 1 && name == "100s" {
						require.Greater(t, sim.longest, sim.MaxCrashDelay, "the longest delay, and jitter")
						require.Positive(t, sim.alarms)
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
			sim := newSimulation(3, 1, 300).kill(1, 0, false)
			liars := 0
			for i := range sim.streams {
				if !sim.streams[i].killer && i%10 == 0 {
					sim.streams[i].crashes = claim
					liars++
				}
			}
			for sim.most() < 36 && !slices.ContainsFunc(sim.letters, func(i int) bool { return sim.streams[i].killer }) {
				sim.step()
			}
			honest := 0
			killer := false
			for _, i := range sim.letters {
				switch {
				case sim.streams[i].killer:
					killer = true
				case i%10 != 0:
					honest++
				}
			}
			require.True(t, killer)
			require.Zero(t, honest)
			require.Less(t, len(sim.letters), liars, "many of those who lie live on")
		})
	}
}
