package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// roundFor is how long a storm lasts at most, after which all that was written down is checked and thrown away.
	roundFor = 2 * time.Minute
	// roundOwnerships is how many ownerships it comes to at most, which bounds the memory that checking takes.
	roundOwnerships = 200_000
	// roundPages is what one pod may come to, which may outlive all others, and is there in the calm.
	roundPages = 2 * roundOwnerships
	// announceEvery is how often announcements are made in the place of those that are done.
	announceEvery = 50 * time.Millisecond
	// streamsPerEntry is how many streams there are for each announcement in play: so few that some are announced again
	// while they are owned.
	streamsPerEntry = 2
	// worksPerSession is how many times as long a session is than the average work on a stream: most are done by who took
	// them, many are renewed.
	worksPerSession = 2
)

// round is a storm, in which things happen to pods at random, and the calm after it.
type round struct {
	number    int
	options   Options
	producer  producer.Producer
	store     *store
	rnd       *rand.Rand // of announcements
	places    []*place
	outages   *outages    // nil: the server is not ours, or is left alone
	clock     *clock      // nil: likewise
	operator  *operator   // nil: nothing is done by hand
	poisoner  *poisoner   // sends nothing where that is not asked for
	announced map[int]int // how often each stream was

	letters  []letter // all that there were in the calm
	requeued int      // stranded entries that were brought back, since nobody need know of them
}

// newRound makes the places. kill ends what runs there. Close it, whatever comes.
func (m *runner) newRound(kill context.Context, number int) (r *round, err error) {
	o := m.options
	r = &round{
		number: number, options: o, producer: m.producer, store: m.store,
		rnd: newRand(o.Seed, number, 0), announced: make(map[int]int),
	}
	m.prepare(r)
	for i := range o.Pods {
		p, err := newPlace(kill, fmt.Sprintf("round-%d-pod-%d", number, i+1), m.dir, m.target, pod.WorkerOptions{
			Service: m.producer.Service, Partitions: o.Partitions, Prefix: m.producer.Prefix, Pages: roundPages,
			LeaseTTL: o.LeaseTTL, SessionTTL: o.SessionTTL, Work: o.SessionTTL / worksPerSession,
		}, newRand(o.Seed, number, i+1), r.outages)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		p.pick, p.acts = o.strikes, r.operator != nil
		r.places = append(r.places, p)
	}
	return r, nil
}

// prepare says what happens in a round besides to pods.
func (m *runner) prepare(r *round) {
	o, number := r.options, r.number
	server := m.target.Private
	if server != nil && o.has(OnServer) {
		r.outages = &outages{server: server, session: o.SessionTTL, struck: make(map[string]int), rnd: newRand(o.Seed, number, o.Pods+1)}
	}
	if server != nil && o.has(OnClock) && m.result.NoClock == "" {
		r.clock = &clock{server: server, session: o.SessionTTL, lease: o.LeaseTTL, struck: make(map[string]int), rnd: newRand(o.Seed, number, o.Pods+2)}
	}
	if what := o.acts(); len(what) > 0 {
		r.operator = newOperator(m.store, r.outages, what, o.SessionTTL, newRand(o.Seed, number, o.Pods+3))
	}
	r.poisoner = &poisoner{
		producer: m.producer, store: m.store, rnd: newRand(o.Seed, number, o.Pods+4), work: r.nextWork,
		sent: make(map[string]int), announced: make(map[announcement]bool),
	}
	if o.has(Poison) {
		r.poisoner.small = &schedule{every: time.Duration(poisonEvery * float64(o.SessionTTL))}
	}
	if o.has(Large) && server != nil {
		r.poisoner.large = &schedule{every: time.Duration(largeEvery * float64(o.SessionTTL))}
	}
}

// lots are the decisions of one who decides in a round.
func newRand(seed uint64, round, who int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round)<<32|uint64(who)))
}

// all does something at all places at once.
func (r *round) all(do func(*place) error) error {
	var g errgroup.Group
	for _, p := range r.places {
		g.Go(func() error { return do(p) })
	}
	return g.Wait()
}

// storm starts the pods and has things happen to them for so long. tell hears how long it has lasted.
func (r *round) storm(ctx context.Context, d time.Duration, tell func(time.Duration)) error {
	if err := r.all((*place).Start); err != nil {
		return err
	}
	storm, end := context.WithTimeout(ctx, d)
	defer end()
	g, storm := errgroup.WithContext(storm)
	for _, p := range r.places {
		g.Go(func() error { return p.disturb(storm) })
	}
	if r.outages != nil {
		g.Go(func() error { return r.outages.run(storm) })
	}
	if r.clock != nil {
		g.Go(func() error { return r.clock.run(storm) })
	}
	if r.operator != nil {
		g.Go(func() error { return r.operator.run(storm) })
	}
	g.Go(func() error {
		defer end()
		return r.announce(ctx, storm, tell)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// announce keeps as many announcements in play as were asked for, until the storm ends or there are ownerships enough. ctx
// outlives the storm, so that each announcement that is sent is known to have been made.
func (r *round) announce(ctx, storm context.Context, tell func(time.Duration)) error {
	began := time.Now()
	for r.ownerships() < roundOwnerships {
		var n int
		err := r.outages.retry(ctx, func() (err error) {
			n, err = r.store.inPlay(ctx)
			return err
		})
		if err != nil {
			return err
		}
		some := make([]int, max(0, r.options.Streams-n))
		for i := range some {
			some[i] = r.rnd.IntN(r.store.streams)
		}
		if err := r.send(ctx, some); err != nil {
			return err
		}
		for sent := true; sent; {
			if sent, err = r.poison(ctx, time.Since(began)); err != nil {
				return err
			}
		}
		tell(time.Since(began))
		if measure.Pause(storm, announceEvery) != nil {
			return nil
		}
	}
	return nil
}

// send announces streams. Asked again, after no answer, it makes the same announcements.
func (r *round) send(ctx context.Context, streams []int) error {
	infos := make([]string, len(streams))
	for i, stream := range streams {
		infos[i] = r.task(stream)
	}
	return r.outages.retry(ctx, func() error {
		next := 0
		p := r.producer
		p.Info = func(int) string {
			next++
			return infos[next-1]
		}
		return p.AnnounceEach(ctx, streams)
	})
}

// poison sends an entry that nobody should, if one is due so long after the beginning. Asked again, after no answer, it sends the same.
func (r *round) poison(ctx context.Context, passed time.Duration) (sent bool, err error) {
	input, fields := r.poisoner.next(ctx, passed)
	if fields == nil {
		return false, nil
	}
	return true, r.outages.retry(ctx, func() error { return r.store.add(ctx, input, fields) })
}

// work numbers the announcements of a stream.
func (r *round) nextWork(stream int) int {
	r.announced[stream]++
	return r.announced[stream]
}

// task is what an announcement of a stream carries.
func (r *round) task(stream int) string {
	info, err := json.Marshal(pod.Task{Work: r.nextWork(stream)})
	if err != nil {
		panic(err) // a word and a number
	}
	return string(info)
}

// journals are those of all pods of the round.
func (r *round) journals() (all []*journal.Journal) {
	for _, p := range r.places {
		all = append(all, p.journals()...)
	}
	return all
}

func (r *round) ownerships() (n int) {
	for _, j := range r.journals() {
		n += j.Len()
	}
	return n
}

func (r *round) troubles() (n int) {
	for _, p := range r.places {
		n += int(p.troubles.Load())
	}
	return n
}

// write writes what operators did, in the end to what was lost, and all dead letters, as people read it.
func (r *round) write(dir string, missed []announcement) error {
	var text strings.Builder
	for _, l := range r.letters {
		fmt.Fprintf(&text, "%v stands for %q, missing %v:%s\n", l.which, l.reference, l.missing, l.text)
	}
	err := os.WriteFile(filepath.Join(dir, "letters.txt"), []byte(text.String()), 0o600)
	if r.operator == nil {
		return err
	}
	text.Reset()
	for where, a := range r.operator.entries {
		fmt.Fprintf(&text, "%s: %v %s at %v, was %v for %s under token %d\n", where, a.which, a.what, a.from, a.was, a.consumer, a.token)
	}
	for _, which := range missed {
		fmt.Fprintf(&text, "missed %v: %+v\n", which, r.operator.last[which])
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, "by-hand.txt"), []byte(text.String()), 0o600))
}

// close ends all that runs. Nobody reads the journals after that.
func (r *round) close() (err error) {
	for _, p := range r.places {
		err = errors.Join(err, p.close())
	}
	return err
}
