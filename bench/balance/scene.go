package balance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/test/journal"
)

// ownershipsPerStream is for how many ownerships of each stream the journal of a process has room. It is a sparse file.
const ownershipsPerStream = 20

// scene is a server, a service on it, and the processes that share its streams.
type scene struct {
	target    *target.Target
	producer  producer.Producer
	streams   int // announced so far
	dir       string
	options   pod.WorkerOptions
	processes []*process
}

// process is one process of a scene, from its start to the end of the scene.
type process struct {
	*pod.Pod
	life
	killed bool
}

// open makes a scene with no process. Close it afterwards.
func open(ctx context.Context, o Options, r *report.Report, balance pod.Balance) (s *scene, err error) {
	t, err := target.Open(ctx, o.URL)
	if err != nil {
		return nil, err
	}
	r.Redis = t.Version
	if s, err = stage(t, "balance", o.Streams, balance); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return s, nil
}

// stage makes a scene of a service of that name on a server. Leave it afterwards.
func stage(t *target.Target, name string, streams int, balance pod.Balance) (*scene, error) {
	dir, err := os.MkdirTemp("", "streamlease-bench-")
	if err != nil {
		return nil, err
	}
	p := t.Track(name, streams)
	return &scene{target: t, producer: p, dir: dir, options: pod.WorkerOptions{
		URL: t.URL, Service: p.Service, Prefix: p.Prefix, Pages: ownershipsPerStream * max(streams, 100), Balance: balance,
	}}, nil
}

func (s *scene) close() error {
	err := s.leave()
	return errors.Join(err, s.target.Close())
}

// leave ends all processes, without handing anything back, and deletes their journals.
func (s *scene) leave() (err error) {
	for _, p := range s.processes {
		if !p.Ended {
			_, _ = p.Ask("profile") // so that the file is whole, if there is one
			err = errors.Join(err, p.End(true))
		}
		err = errors.Join(err, p.Journal.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// announce announces streams up to a number, evenly over a time.
func (s *scene) announce(ctx context.Context, upTo int, over time.Duration) error {
	const pieces = 20
	from, began := s.streams, time.Now()
	for i := range pieces {
		next := from + (upTo-from)*(i+1)/pieces
		if _, err := s.producer.Announce(ctx, s.streams, next); err != nil {
			return err
		}
		s.streams = next
		if err := measure.Pause(ctx, max(0, time.Until(began.Add(over*time.Duration(i+1)/pieces)))); err != nil {
			return err
		}
	}
	return nil
}

// add starts n processes, one at a time with some time between, and returns when all are ready.
func (s *scene) add(ctx context.Context, n int, apart time.Duration) error {
	all := make([]*process, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			if err := measure.Pause(ctx, time.Duration(i)*apart); err != nil {
				return err
			}
			p, err := s.start(ctx, len(s.processes)+i, "")
			all[i] = p
			return err
		})
	}
	err := g.Wait()
	for _, p := range all {
		if p != nil {
			s.processes = append(s.processes, p)
		}
	}
	return err
}

// addAs starts a process whose consumer has that ID.
func (s *scene) addAs(ctx context.Context, consumer string) error {
	p, err := s.start(ctx, len(s.processes), consumer)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return err
}

// start starts a process of that number, whose consumer has that ID, or one of its own if it is empty.
func (s *scene) start(ctx context.Context, number int, consumer string) (*process, error) {
	name := fmt.Sprint("process-", number+1)
	o := s.options
	o.Consumer = cmp.Or(consumer, name)
	p, err := pod.Start(ctx, s.dir, name, o)
	if err != nil {
		return nil, err
	}
	return &process{Pod: p, life: life{journal.Monotonic(), forever}}, nil
}

// drain ends a process as an orchestrator does, and returns when it is gone.
func (p *process) drain() error {
	p.until, p.Ended = journal.Monotonic(), true
	return p.Terminate()
}

// kill is SIGKILL.
func (p *process) kill() error {
	p.until, p.killed = journal.Monotonic(), true
	return p.End(true)
}

// living are the processes that take part.
func (s *scene) living() (all []*process) {
	for _, p := range s.processes {
		if !p.Ended {
			all = append(all, p)
		}
	}
	return all
}

// held is how many streams each living process holds.
func (s *scene) held() (held []int, err error) {
	for _, p := range s.living() {
		answer, err := p.Ask("held")
		if err != nil {
			return nil, err
		}
		held = append(held, answer.Held)
	}
	return held, nil
}

// lookEvery is how often processes are asked what they hold.
const lookEvery = 200 * time.Millisecond

// awaitOwned waits until the processes hold all streams.
func (s *scene) awaitOwned(ctx context.Context) error {
	sum := 0
	for end := time.Now().Add(pod.Patience); ; {
		held, err := s.held()
		if err != nil {
			return err
		}
		sum = 0
		for _, n := range held {
			sum += n
		}
		if sum >= s.streams {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d streams are owned after %v", sum, s.streams, pod.Patience)
		}
		if err := measure.Pause(ctx, lookEvery/4); err != nil {
			return err
		}
	}
}

// settle waits until shares have been even for a time of stay, but not for longer than within. It calls meanwhile again and again.
func (s *scene) settle(ctx context.Context, within, stay time.Duration, meanwhile func(context.Context) error) (ok bool, err error) {
	var since time.Time
	for end := time.Now().Add(within); ; {
		if err := meanwhile(ctx); err != nil {
			return false, err
		}
		held, err := s.held()
		if err != nil {
			return false, err
		}
		switch now := time.Now(); {
		case !isEven(sharesOf(held, s.streams), s.streams):
			since = time.Time{}
		case since.IsZero():
			since = now
		case now.Sub(since) >= stay:
			return true, nil
		}
		if since.IsZero() && time.Now().After(end) {
			return false, nil
		}
		if err := measure.Pause(ctx, lookEvery); err != nil {
			return false, err
		}
	}
}

// read returns what happened so far.
func (s *scene) read() (*history, error) {
	end := journal.Monotonic()
	var lives []life
	var journals [][]journal.Entry
	killed := make(map[int]time.Duration)
	for i, p := range s.processes {
		if p.Journal.Full() {
			return nil, fmt.Errorf("the journal of %s is full, so ownerships may be missing", p.Journal.Party())
		}
		lives, journals = append(lives, p.life), append(journals, p.Journal.Read())
		if p.killed {
			killed[i] = p.until
		}
	}
	return newHistory(lives, journals, killed, end), nil
}

// spent is what server and processes have done up to a moment.
type spent struct {
	cost
	leftovers map[*process]float64 // by living process: how often it read what had waited for too long
}

func (s *scene) spent(ctx context.Context) (x spent, err error) {
	x.leftovers = make(map[*process]float64)
	for _, p := range s.living() {
		answer, err := p.Ask("look")
		if err != nil {
			return x, err
		}
		x.leftovers[p] = answer.Leftovers
	}
	x.cost, err = s.cost(ctx)
	return x, err
}

// leftoversSince is how often those that are living now read what had waited for too long, after an earlier moment.
func (x spent) leftoversSince(earlier spent) (n float64) {
	for p, reads := range x.leftovers {
		n += reads - earlier.leftovers[p]
	}
	return n
}
