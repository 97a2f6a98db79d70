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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

var (
	seedFlag  = flag.Uint64("model.seed", 0, "seed of the first run; 0: a new one, which is printed")
	runsFlag  = flag.Int("model.runs", 60, "how many runs, each with the seed after the one before")
	stepsFlag = flag.Int("model.steps", 800, "steps of a run")
)

// How many of each take part.
const (
	streams   = 3
	consumers = 3
	traced    = 80 // steps that are told of a run that fails
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

// run is one run, and what is true in it.
type run struct {
	t         *testing.T
	w         *world
	rand      *rand.Rand
	consumers []*consumer
	late      []func() func()      // calls that ran and may come again
	live      map[int]bool         // announced and not done
	done      map[int]bool         // done, by the account of the server that was asked
	greatest  map[string]api.Token // of the ownerships of each stream
	announced int
	restarts  bool    // the server really restarts, at times of its own
	mixed     *change // processes have TTLs of their own; nil: all have the usual ones
	steps     bool    // the server's clock is set back at times
	trace     []string
	owns      int // ownerships there were
}

// change is a fleet whose TTLs are being changed, to and fro.
type change struct {
	from, to ttls
	now      ttls // of most that start

	// A process that starts and is cut off, and a server that fails over without having heard of it: after so many steps.
	late  *consumer
	steps int
}

func newChange(rnd *rand.Rand) *change {
	from, to := others[rnd.IntN(len(others))], others[rnd.IntN(len(others))]
	if from.reach > to.reach && rnd.IntN(4) > 0 {
		from, to = to, from
	}
	return &change{from: from, to: to, now: from}
}

// configured is what the TTLs are of a process that starts.
func (r *run) configured(c *consumer) ttls {
	switch x := r.mixed; {
	case x == nil:
		return usual
	case x.late == c:
		return x.to
	case r.rand.IntN(4) > 0:
		return x.now
	}
	return []ttls{r.mixed.from, r.mixed.to}[r.rand.IntN(2)]
}

// stir is what happens to a fleet that is being changed, beside what happens to all.
func (r *run) stir() {
	x, c := r.mixed, r.consumer()
	switch r.rand.IntN(6) {
	case 0:
		x.now = []ttls{x.from, x.to}[r.rand.IntN(2)]
		r.note("new ones have %v", x.now)
	case 1:
		r.startAgain(c)
	case 2:
		c.cut = r.w.now() + time.Duration(r.rand.IntN(20_000))*time.Millisecond
		r.note("%s is cut off", c)
	case 3:
		r.calm()
	default:
		if x.late != nil || r.restarts {
			return
		}
		for range 2 {
			r.announce()
		}
		r.note("save, and %s starts again", c)
		r.w.save()
		r.startAgain(c)
		c.cut = 0
		x.late, x.steps = c, 5+r.rand.IntN(60)
	}
}

func (r *run) startAgain(c *consumer) {
	r.note("%s starts again", c)
	if c.name != "" {
		c.loseSession()
	}
	clear(c.flights)
}

// calm has everybody start again as before the change, and the time pass after which no trace of it is left.
func (r *run) calm() {
	r.note("calm")
	x := r.mixed
	x.now, x.late = x.from, nil
	for range 4 {
		for _, c := range r.consumers {
			c.expire()
			if c.name != "" && c.ttls != x.from || r.rand.IntN(8) == 0 {
				r.startAgain(c)
			}
			c.open()
			c.renew(c.in(held))
			r.land(c)
			r.check()
		}
		r.w.advance(max(x.from.reach, x.to.reach))
	}
}

// failOver has a successor take over, unless what was saved is older than a replica that may be promoted.
func (r *run) failOver() bool {
	if !r.w.saved.any || r.mixed != nil && r.w.lags() {
		return false
	}
	r.note("fail over, %v are lost", r.w.now()-r.w.saved.at)
	r.w.failOver()
	r.forgotten()
	return true
}

// strand cuts a process off from the server, which fails over.
func (r *run) strand() {
	x := r.mixed
	c := x.late
	x.late = nil
	if r.failOver() {
		c.cut = r.w.now() + time.Duration(r.rand.IntN(60_000))*time.Millisecond
		r.note("%s is cut off", c)
	}
}

func (r *run) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf("%8.3f ", r.w.now().Seconds())+fmt.Sprintf(format, args...))
}

// ok fails the run at an error that no fault explains: all are played here, not made.
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

// owned holds G3.
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

// check holds G1 and G2.
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
	places := r.w.where()
	for _, number := range slices.Sorted(maps.Keys(places)) {
		r.require(r.live[number], "G2: %d is done, and %v", number, places[number])
		r.require(len(places[number]) == 1 && !strings.HasPrefix(places[number][0], "nowhere"), "G2: %d is %v", number, places[number])
	}
	for number := range r.live {
		r.require(len(places[number]) == 1, "G2: %d is lost", number)
	}
}

// forgotten takes in that the server has only what was saved: what was announced since is lost with it, and what was done
// since is there again.
func (r *run) forgotten() {
	r.late = nil
	for _, c := range r.consumers {
		clear(c.flights) // connections ended
	}
	places := r.w.where()
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
	r.w.announce(stream, r.announced)
}

func (r *run) consumer() *consumer { return r.consumers[r.rand.IntN(len(r.consumers))] }

// some is a random part of items, mostly all.
func some[T any](r *run, items []T) []T {
	if len(items) > 1 && r.rand.IntN(3) == 0 {
		return items[:1+r.rand.IntN(len(items)-1)]
	}
	return items
}

// step does one thing, mostly something that a consumer does.
func (r *run) step() {
	if x := r.mixed; x != nil && x.late != nil {
		if x.steps--; x.steps < 0 {
			r.strand()
		}
	}
	switch n := r.rand.IntN(100); {
	case n < 4:
		r.announce()
	case n < 11:
		most := 600
		switch x := r.rand.IntN(60); {
		case x < 6:
			most = 6000
		case x < 8:
			most = 45000
		}
		d := time.Duration(r.rand.IntN(most)) * time.Millisecond
		r.w.advance(d)
		r.note("%v pass", d)
	case n < 12 && r.steps && r.rand.IntN(4) == 0:
		d := time.Duration(r.rand.IntN(3600_000)) * time.Millisecond
		r.w.stepBack(d)
		r.note("the clock is set back by %v", d)
	case n < 12 && !r.restarts:
		if r.rand.IntN(4) == 0 && r.failOver() {
			return
		}
		r.note("save")
		r.w.save()
	case n < 17 && len(r.late) > 0:
		r.note("a call comes again")
		r.late[r.rand.IntN(len(r.late))]()
	case n < 37:
		r.fly(r.consumer())
	case n < 40 && r.mixed != nil:
		r.stir()
	default:
		c := r.consumer()
		if x := r.mixed; x != nil && x.late != nil && r.rand.IntN(4) > 0 {
			c = x.late
		}
		c.expire()
		if r.w.now() < c.cut {
			return
		}
		r.act(c)
		if r.rand.IntN(3) > 0 {
			r.land(c) // without anything in between
		}
	}
}

// act has a consumer begin something.
func (r *run) act(c *consumer) {
	if c.name == "" {
		c.open()
		c.pay()
		return
	}
	switch n := r.rand.IntN(12); {
	case n < 3:
		c.renew(some(r, c.in(held)))
		c.verify()
	case n < 5:
		c.read(1 + r.rand.IntN(3))
	case n < 6:
		c.reconcile()
	case n < 9:
		c.acquire(some(r, c.in(read)))
	case n < 10:
		if items := c.in(held); len(items) > 0 {
			x := items[r.rand.IntN(len(items))]
			dest := []lease.Dest{lease.ToInput, lease.ToLater, lease.ToDeadLetters}[r.rand.IntN(3)]
			c.end(x, r.rand.IntN(2) == 0, dest, time.Duration(r.rand.IntN(20))*time.Second)
		}
		c.flush()
	case n < 11:
		c.flush()
		c.pay()
	default:
		_, _, err := r.w.store.Promote(r.w.ctx, 0, 1+r.rand.IntN(3))
		r.ok(err)
	}
}

// fly lets one call of a consumer go a step of its way, or get lost.
func (r *run) fly(c *consumer) {
	kinds := slices.Sorted(maps.Keys(c.flights))
	if len(kinds) == 0 || r.w.now() < c.cut {
		return
	}
	f := c.flights[kinds[r.rand.IntN(len(kinds))]]
	lost := r.rand.IntN(6) == 0
	switch {
	case f.answer == nil && lost:
		r.note("%s: %s is lost on the way, or comes later", c, f.kind)
		r.late = append(r.late, f.call)
		delete(c.flights, f.kind)
	case f.answer == nil:
		r.run(f)
	case lost:
		r.note("%s: the answer of %s is lost", c, f.kind)
		delete(c.flights, f.kind)
	default:
		r.arrive(f)
	}
}

// run has the server carry a call out.
func (r *run) run(f *flight) {
	r.note("%s: %s runs", f.c, f.kind)
	f.answer = f.call()
	if r.rand.IntN(4) == 0 {
		r.late = append(r.late, f.call)
	}
}

func (r *run) arrive(f *flight) {
	r.note("%s: %s is answered", f.c, f.kind)
	delete(f.c.flights, f.kind)
	f.c.expire()
	f.answer()
}

// land has all calls of a consumer carried out and answered.
func (r *run) land(c *consumer) {
	for _, kind := range slices.Sorted(maps.Keys(c.flights)) {
		f := c.flights[kind]
		if f.answer == nil {
			r.run(f)
		}
		r.arrive(f)
	}
}

func newRun(t *testing.T, w *world, seed uint64) *run {
	w.do("FLUSHALL")
	w.saved.any = false
	r := &run{
		t: t, w: w, rand: rand.New(rand.NewPCG(seed, seed)), live: make(map[int]bool), done: make(map[int]bool),
		greatest: make(map[string]api.Token), steps: seed%4 == 0,
	}
	if seed%3 != 0 {
		r.mixed = newChange(r.rand)
	}
	for i := range consumers {
		r.consumers = append(r.consumers, &consumer{r: r, id: i, flights: make(map[string]*flight)})
	}
	// The group is made before anything can be saved without it.
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

// TestProtocol runs it at random; -model.seed repeats a run that failed.
func TestProtocol(t *testing.T) {
	w := newWorld(t)
	first := seed()
	owns, done := 0, 0
	for i := range *runsFlag {
		seed := first + uint64(i)
		t.Logf("run with -model.seed=%d -model.runs=1", seed)
		r := newRun(t, w, seed)
		for range *stepsFlag {
			r.step()
			r.check()
		}
		owns, done = owns+r.owns, done+len(r.done)
	}
	t.Logf("%d ownerships, %d announcements done", owns, done)
	require.Greater(t, owns, *runsFlag, "streams were owned")
	require.Greater(t, done, *runsFlag/2, "and done")
}

// TestProtocolWithRestarts does the same on servers that really end and start again with what was saved.
func TestProtocolWithRestarts(t *testing.T) {
	w := newWorld(t)
	first := seed()
	for i := range max(1, *runsFlag/20) {
		seed := first + uint64(i)
		t.Logf("run with -model.seed=%d -model.runs=1", seed)
		r := newRun(t, w, seed)
		r.restarts = true
		for n := range *stepsFlag {
			switch n % 200 {
			case 100:
				r.note("save")
				w.save()
				w.do("SAVE")
			case 120 + int(seed%80):
				if r.mixed != nil && w.lags() {
					w.save()
					w.do("SAVE")
				}
				r.note("restart")
				w.restart()
				r.forgotten()
			}
			r.step()
			r.check()
		}
	}
}
