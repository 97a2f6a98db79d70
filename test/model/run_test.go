package model

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

var (
	seedFlag  = flag.Uint64("model.seed", 0, "seed of the first run; 0: a random one, which is printed")
	runsFlag  = flag.Int("model.runs", 60, "number of runs, each with the seed of the previous one plus one")
	stepsFlag = flag.Int("model.steps", 800, "steps of a run")
)

// Numbers of participants.
const (
	streams   = 3
	consumers = 3
	traced    = 80 // last steps that are printed when a run fails
)

func streamName(i int) string { return fmt.Sprintf("s%d", i) }

func numberOf(e *lease.Entry) int {
	for _, f := range e.Body {
		if f.Field == "number" {
			n, _ := strconv.Atoi(f.Value)
			return n
		}
	}
	return -1
}

// run is one run of the model, and what is true in it.
type run struct {
	t         *testing.T
	h         *harness
	rand      *rand.Rand
	consumers []*consumer
	late      []func() func()      // calls that may still run, or run again
	live      map[int]bool         // announced and not done
	done      map[int]bool         // done, according to the server that was asked
	greatest  map[string]api.Token // token of each stream
	announced int
	restarts  bool    // the server really restarts, at fixed steps
	mixed     *change // processes have different TTLs; nil: all have the usual ones
	points    checkpoints
	steps     bool // the server's clock is set back at times
	trace     []string
	owns      int      // number of ownerships so far
	proven    []string // sessions of processes that were killed
	killed    int      // number of them
	recovered int      // entries that they left
	reported  int      // rows of the fleet that were seen, each as often as it was
	tallies   int
}

func (r *run) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf("%8.3f ", r.h.now().Seconds())+fmt.Sprintf(format, args...))
}

// ok fails the run at any unexpected error: faults are simulated here, so calls do not fail.
func (r *run) ok(err error) {
	if code, refused := lease.Refusal(err); refused && code == "NOGROUP" {
		return // the group is as new as the server
	}
	r.require(err == nil, "error %v", err)
}

func (r *run) require(ok bool, format string, args ...any) {
	if !ok {
		r.t.Fatalf("%s\ntrace:\n%s", fmt.Sprintf(format, args...), strings.Join(r.trace[max(0, len(r.trace)-traced):], "\n"))
	}
}

// owned notes an ownership, and checks G3.
func (r *run) owned(c *consumer, x *item) {
	r.owns++
	r.note("%s owns %s for %s under %d", c, x.entry.Stream, x.entry.ID, x.token)
	r.require(x.token > r.greatest[x.entry.Stream], "G3: token %d of %s after %d", x.token, x.entry.Stream, r.greatest[x.entry.Stream])
	r.greatest[x.entry.Stream] = x.token
}

func (r *run) finished(number int) {
	delete(r.live, number)
	r.done[number] = true
}

// check checks G1 and G2.
func (r *run) check() {
	owners := make(map[string]*consumer)
	for _, c := range r.consumers {
		c.expire()
		for _, x := range c.items {
			if c.believes(x) {
				other := owners[x.entry.Stream]
				r.require(other == nil, "G1: %s is owned by %v and %v", x.entry.Stream, other, c)
				owners[x.entry.Stream] = c
			}
		}
	}
	places := r.h.where()
	for _, number := range slices.Sorted(maps.Keys(places)) {
		r.require(r.live[number], "G2: %d is done, and %v", number, places[number])
		r.require(len(places[number]) == 1 && !strings.HasPrefix(places[number][0], "nowhere"), "G2: %d is %v", number, places[number])
	}
	for number := range r.live {
		r.require(len(places[number]) == 1, "G2: %d is lost", number)
	}
}

// forgotten adapts the model to a server that has only what was saved: later announcements are lost, and what was done later is
// back.
func (r *run) forgotten() {
	r.late = nil
	for _, c := range r.consumers {
		clear(c.flights) // connections ended
	}
	r.readCheckpoints()
	places := r.h.where()
	clear(r.live)
	for number := range places {
		r.live[number] = true
	}
}

func (r *run) announce() {
	r.announced++
	stream := streamName(r.rand.IntN(streams))
	r.note("announce %d: %s", r.announced, stream)
	r.live[r.announced] = true
	r.h.announce(stream, r.announced)
}

func (r *run) consumer() *consumer { return r.consumers[r.rand.IntN(len(r.consumers))] }

func newRun(t *testing.T, h *harness, seed uint64) *run {
	h.Do("FLUSHALL")
	h.saved.any = false
	r := &run{
		t: t, h: h, rand: rand.New(rand.NewPCG(seed, seed)), live: make(map[int]bool), done: make(map[int]bool),
		greatest: make(map[string]api.Token), steps: seed%4 == 0,
	}
	r.readCheckpoints()
	if seed%3 != 0 {
		r.mixed = newChange(r.rand)
	}
	for i := range consumers {
		r.consumers = append(r.consumers, &consumer{r: r, id: i, flights: make(map[string]*flight)})
	}
	// The group is created before anything can be saved without it.
	r.consumers[0].open()
	r.land(r.consumers[0])
	return r
}

func seed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64N(1 << 40)
}

// showSeed has a failed test show the seed of its last run.
func showSeed(t *testing.T) *uint64 {
	var seed uint64
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last run was -model.seed=%d -model.runs=1", seed)
		}
	})
	return &seed
}

// enoughRuns are enough for everything to have happened.
const enoughRuns = 20

// booksEvery is after how many steps it is looked whether the sums of the fleet are right: they are after each.
const booksEvery = 10

// TestProtocol runs the protocol at random. -model.seed repeats a failed run.
func TestProtocol(t *testing.T) {
	h := newHarness(t)
	first := seed()
	owns, done, killed, recovered, saved, refused, reported, tallies := 0, 0, 0, 0, 0, 0, 0, 0
	last := showSeed(t)
	for i := range *runsFlag {
		seed := first + uint64(i)
		*last = seed
		r := newRun(t, h, seed)
		for n := range *stepsFlag {
			r.step()
			r.check()
			if n%booksEvery == 0 {
				r.checkBooks()
			}
		}
		saved, refused = saved+r.points.saved, refused+r.points.refused
		reported, tallies = reported+r.reported, tallies+r.tallies
		owns, done, killed, recovered = owns+r.owns, done+len(r.done), killed+r.killed, recovered+r.recovered
	}
	if *runsFlag < enoughRuns {
		return
	}
	t.Logf("%d checkpoints stored, %d not", saved, refused)
	require.Greater(t, saved, *runsFlag, "checkpoints were stored")
	require.Greater(t, refused, *runsFlag/2, "and others were not")
	t.Logf("%d ownerships, %d announcements done; %d processes killed, of which %d announcements were recovered", owns, done, killed, recovered)
	require.Greater(t, owns, *runsFlag, "streams were owned")
	require.Greater(t, done, *runsFlag/2, "and done")
	require.Greater(t, recovered, *runsFlag/2, "and recovered")
	t.Logf("%d rows of the fleet seen, %d tallies", reported, tallies)
	require.Greater(t, reported, *runsFlag*10, "consumers reported")
	require.Greater(t, tallies, *runsFlag/2, "and were added up")
}

// TestProtocolWithRestarts does the same with a server that really restarts with what was saved.
func TestProtocolWithRestarts(t *testing.T) {
	h := newHarness(t)
	first := seed()
	last := showSeed(t)
	for i := range max(1, *runsFlag/20) {
		seed := first + uint64(i)
		*last = seed
		r := newRun(t, h, seed)
		r.restarts = true
		for n := range *stepsFlag {
			switch n % 200 {
			case 100:
				r.note("save")
				h.save()
				h.Do("SAVE")
			case 120 + int(seed%80):
				if r.mixed != nil && h.lags() {
					h.save()
					h.Do("SAVE")
				}
				r.note("restart")
				h.restart()
				r.forgotten()
			}
			r.step()
			r.check()
		}
	}
}
