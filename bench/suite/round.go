package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

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
	// calmSessions is how many session TTLs a calm may take besides: work that fails is done again after a while.
	calmSessions = 30
)

// round is a storm, in which things happen to pods at random, and the calm after it.
type round struct {
	number    int
	options   SoakOptions
	producer  producer.Producer
	keeper    *keeper
	rnd       *rand.Rand // of announcements
	places    []*place
	outages   *outages    // nil: the server is not ours
	announced map[int]int // how often each stream was
}

// newRound makes the places. kill ends what runs there. Close it, whatever comes.
func (m *soak) newRound(kill context.Context, number int) (r *round, err error) {
	r = &round{
		number: number, options: m.options, producer: m.producer, keeper: m.keeper,
		rnd: lots(m.options.Seed, number, 0), announced: make(map[int]int),
	}
	if m.site.private != nil {
		r.outages = &outages{
			server: m.site.private, session: m.options.SessionTTL, struck: make(map[string]int),
			rnd: lots(m.options.Seed, number, m.options.Pods+1),
		}
	}
	for i := range m.options.Pods {
		p, err := newPlace(kill, fmt.Sprintf("round-%d-pod-%d", number, i+1), m.dir, m.site, WorkerOptions{
			Service: m.producer.Service, Partitions: m.options.Partitions, Prefix: m.producer.Prefix, Pages: roundPages,
			LeaseTTL: m.options.LeaseTTL, SessionTTL: m.options.SessionTTL, Work: m.options.SessionTTL / worksPerSession,
		}, lots(m.options.Seed, number, i+1), r.outages)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.places = append(r.places, p)
	}
	return r, nil
}

// lots are the decisions of one who decides in a round.
func lots(seed uint64, round, who int) *rand.Rand {
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
		g.Go(func() error { return p.suffer(storm) })
	}
	if r.outages != nil {
		g.Go(func() error { return r.outages.befall(storm) })
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
		err := r.outages.despite(ctx, func() (err error) {
			n, err = r.keeper.inPlay(ctx)
			return err
		})
		if err != nil {
			return err
		}
		some := make([]int, max(0, r.options.Streams-n))
		for i := range some {
			some[i] = r.rnd.IntN(r.keeper.streams)
		}
		if err := r.send(ctx, some); err != nil {
			return err
		}
		tell(time.Since(began))
		if pause(storm, announceEvery) != nil {
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
	return r.outages.despite(ctx, func() error {
		next := 0
		p := r.producer
		p.Info = func(int) string {
			next++
			return infos[next-1]
		}
		return p.AnnounceEach(ctx, streams)
	})
}

// task numbers the announcements of a stream.
func (r *round) task(stream int) string {
	r.announced[stream]++
	info, err := json.Marshal(task{Work: r.announced[stream]})
	if err != nil {
		panic(err) // two words and a number
	}
	return string(info)
}

// calm waits until all is done and nobody is there but the pods that run, has those end in good order, and says what is
// left. tell hears what is left before that.
func (r *round) calm(ctx context.Context, tell func(Left)) (l Left, err error) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for end := time.Now().Add(patience + calmSessions*r.options.SessionTTL); time.Now().Before(end); {
		err := r.outages.despite(ctx, func() (err error) {
			l, err = r.keeper.look(ctx)
			return err
		})
		if err != nil {
			return l, err
		}
		if l == (Left{Consumers: len(r.places) * max(r.options.Partitions, 1)}) {
			break
		}
		tell(l)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l, ctx.Err()
		}
	}
	if err := r.all((*place).end); err != nil {
		return l, err
	}
	return r.keeper.look(ctx)
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

// close ends all that runs. Nobody reads the journals after that.
func (r *round) close() (err error) {
	for _, p := range r.places {
		err = errors.Join(err, p.close())
	}
	return err
}
