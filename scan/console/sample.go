package console

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/scan"
)

// sample is what the sampler has read at one moment. It does not change once it is published, but for what was rendered of it.
type sample struct {
	At    time.Time     // by the server's clock; this program's where that is unknown
	Taken time.Time     // by this program's
	Took  time.Duration // reading it
	Every time.Duration // until the next one

	Balance   scan.Balance
	Backlog   []scan.Backlog // by partition; those that cannot be read are missing
	Consumers []scan.Consumer
	Wishes    []scan.Wish
	Settling  map[int]time.Time // until when partitions settle, by the server's clock

	// Err says what could not be read. Known is whether anything could.
	Err   error
	Known bool

	Moves []move // what the journal has, newest first
	Chart chart

	// NewLetters is how many dead letters have come since WatchedSince, when somebody began to watch, or some were sent back.
	NewLetters   int
	WatchedSince time.Time

	mu struct {
		sync.Mutex
		parts map[string]map[string]string // of pages, by what they show
	}
}

// rendered returns parts of pages, which are rendered once for all viewers.
func (s *sample) rendered(key string, render func() (map[string]string, error)) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if parts, ok := s.mu.parts[key]; ok {
		return parts, nil
	}
	parts, err := render()
	if err == nil {
		if s.mu.parts == nil {
			s.mu.parts = make(map[string]map[string]string)
		}
		s.mu.parts[key] = parts
	}
	return parts, err
}

// now is the server's clock.
func (s *sample) now() time.Time { return s.At.Add(time.Since(s.Taken)) }

// Total is the sum over all partitions; ages are the greatest.
func (s *sample) Total() (t scan.Backlog) {
	for _, b := range s.Backlog {
		t.Length, t.Lag, t.Pending = t.Length+b.Length, t.Lag+b.Lag, t.Pending+b.Pending
		t.Stranded, t.WithoutBody = t.Stranded+max(b.Stranded, 0), t.WithoutBody+max(b.WithoutBody, 0)
		t.Later, t.Due, t.DeadLetters = t.Later+b.Later, t.Due+b.Due, t.DeadLetters+b.DeadLetters
		t.OldestPending, t.OldestWaiting = max(t.OldestPending, b.OldestPending), max(t.OldestWaiting, b.OldestWaiting)
	}
	return t
}

// source reads samples.
type source struct {
	client  rueidis.Client
	service string
	set     scan.InspectorConfig
}

// read takes a sample. A new inspector each time reads the record of the service again, so that a service that is being changed, or has
// another number of partitions, shows. That is a script for the record and one for the wishes, which Balance reads, too, and four scripts
// for each partition.
func (s *source) read(ctx context.Context) *sample {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.set.Timeout, scan.DefaultInspectTimeout))
	defer cancel()
	found := &sample{At: began, Taken: began}
	found.Err = s.fill(ctx, found)
	now := time.Now()
	for _, b := range found.Backlog {
		if !b.At.IsZero() {
			found.At, found.Taken = b.At, now
		}
	}
	found.Took = now.Sub(began)
	return found
}

func (s *source) fill(ctx context.Context, found *sample) error {
	set := s.set
	set.CountLimit = scan.NoCount
	inspector, err := scan.NewInspector(s.client, s.service, set)
	if err != nil {
		return err
	}
	if _, err := inspector.Partitions(ctx); err != nil {
		return err
	}
	var errs [5]error
	found.Balance, errs[0] = inspector.Balance(ctx)
	found.Backlog, errs[1] = inspector.Backlog(ctx)
	found.Consumers, errs[2] = inspector.Consumers(ctx)
	found.Wishes, errs[3] = inspector.Wishes(ctx)
	found.Known = len(found.Backlog) > 0
	found.Settling, errs[4] = inspector.Settling(ctx)
	return errors.Join(errs[:]...)
}

// death is a process whose session has ended and that is not recovered yet.
type death struct {
	name    string
	since   time.Time // the first of its deadlines; zero: unknown
	pending int
}

// deaths returns the processes that are dead in some partition and have something pending there, and those that the balance calls dead.
func (s *sample) deaths() []death {
	found := make(map[string]*death)
	get := func(run string) *death {
		if found[run] == nil {
			found[run] = &death{name: run}
		}
		return found[run]
	}
	for _, c := range s.Consumers {
		if c.Session.State != scan.SessionDead || c.Pending == 0 {
			continue
		}
		d := get(runOf(c.Name))
		d.pending += c.Pending
		if d.since.IsZero() || c.Session.Until.Before(d.since) {
			d.since = c.Session.Until
		}
	}
	for _, p := range s.Balance.Processes {
		if p.Dead {
			get(p.Name)
		}
	}
	all := make([]death, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[name])
	}
	return all
}

// Alive returns how many runs have a live session in some partition.
func (s *sample) Alive() int {
	runs := make(map[string]bool)
	for _, c := range s.Consumers {
		if c.Session.State == scan.SessionAlive {
			runs[runOf(c.Name)] = true
		}
	}
	return len(runs)
}
