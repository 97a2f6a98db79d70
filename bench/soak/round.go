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
	// roundFor is how long a storm lasts at most. Then the journals are checked and deleted.
	roundFor = 2 * time.Minute
	// roundOwnerships is about how many ownerships a storm may come to, which bounds the memory that checking takes.
	roundOwnerships = 200_000
	// roundPages is how many ownerships fit the journal of one pod, which may outlive all others and also runs in the calm.
	roundPages = 2 * roundOwnerships
	// announceEvery is how often announcements replace those that are done.
	announceEvery = 50 * time.Millisecond
	// streamsPerEntry is the number of streams for each announcement in play: so few that some streams are announced again
	// while they are owned.
	streamsPerEntry = 2
	// worksPerSession is the session TTL divided by the average work on a stream: most streams are done by the pod that took
	// them, and many leases are renewed.
	worksPerSession = 2
)

// round is a storm, in which troubles strike at random, and the calm after it.
type round struct {
	number    int
	options   Options
	producer  producer.Producer
	store     *store
	rnd       *rand.Rand // chooses the streams that are announced
	places    []*place
	outages   *outages    // nil: the server is not ours, or is left alone
	clock     *clock      // nil: likewise
	operator  *operator   // nil: nothing is done by hand
	poisoner  *poisoner   // sends nothing unless that is asked for
	announced map[int]int // by stream: how often it was announced

	letters  []letter // all dead letters at the end of the calm
	requeued int      // stranded entries that were requeued by hand, since no pod had to know of them
}

// newRound makes a round and its places. The end of kill kills the pods there. The round must be closed.
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

// prepare sets up what strikes other things than pods.
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

// newRand returns the random numbers of one actor in a round, who is its number.
func newRand(seed uint64, round, who int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round)<<32|uint64(who)))
}

// all calls do for all places at once.
func (r *round) all(do func(*place) error) error {
	var g errgroup.Group
	for _, p := range r.places {
		g.Go(func() error { return do(p) })
	}
	return g.Wait()
}

// storm starts the pods and has troubles strike for duration d. It reports how long it has lasted to progress.
func (r *round) storm(ctx context.Context, d time.Duration, progress func(time.Duration)) error {
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
		return r.announce(ctx, storm, progress)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// announce keeps the number of announcements in play at what the options say, until the storm ends or there are enough ownerships. ctx
// outlives the storm, so that the outcome of each announcement is known.
func (r *round) announce(ctx, storm context.Context, progress func(time.Duration)) error {
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
		progress(time.Since(began))
		if measure.Pause(storm, announceEvery) != nil {
			return nil
		}
	}
	return nil
}

// send announces streams. A retry after no answer makes the same announcements.
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

// poison sends a poison entry if one is due, passed after the storm began. A retry after no answer sends the same.
func (r *round) poison(ctx context.Context, passed time.Duration) (sent bool, err error) {
	input, fields := r.poisoner.next(ctx, passed)
	if fields == nil {
		return false, nil
	}
	return true, r.outages.retry(ctx, func() error { return r.store.add(ctx, input, fields) })
}

// nextWork returns the number of the next announcement of a stream.
func (r *round) nextWork(stream int) int {
	r.announced[stream]++
	return r.announced[stream]
}

// task returns the Info of the next announcement of a stream.
func (r *round) task(stream int) string {
	info, err := json.Marshal(pod.Task{Work: r.nextWork(stream)})
	if err != nil {
		panic(err) // it is a number and a text
	}
	return string(info)
}

// journals returns the journals of all pods of the round.
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

// write writes the dead letters, what operators did, and last what they did to the announcements that were lost, as text.
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

// close ends everything that runs. The journals cannot be read afterwards.
func (r *round) close() (err error) {
	for _, p := range r.places {
		err = errors.Join(err, p.close())
	}
	return err
}
