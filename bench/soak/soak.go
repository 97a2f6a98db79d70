package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/test/servers"
)

// Options say what a soak does, and for how long.
type Options struct {
	URL        string        // of the Redis; empty: a private server
	For        time.Duration // how long troubles strike, the calms not included
	Pods       int
	Partitions int           // 0: the default
	Streams    int           // announcements in play at a time
	LeaseTTL   time.Duration // above 0
	SessionTTL time.Duration // above 0
	Seed       uint64        // of all random decisions; 0: chosen at random
	Troubles   []string      // which troubles may strike, of Troubles; empty: all
}

// Result is the outcome of a soak.
type Result struct {
	Options
	Rounds    int
	Struck    map[string]int // how often each trouble struck
	Outages   map[string]int // of the server, by kind; nil: the server is not ours
	ByHand    map[string]int // entries that operators tampered with, by what they did
	Poisoned  map[string]int // poison entries that were sent, by kind
	Spared    string         // why links were left alone; empty: they were not
	NoClock   string         // why the server's clock cannot be stepped; empty: it can, or was not to be
	Announced int
	findings
	Missing  int             // poison entries that are neither done nor dead letters
	Requeued int             // stranded entries that no pod had to know of: they were requeued in the calm
	Refused  int             // starts of pods that failed, and were retried
	Erred    int             // pods that ended with an error, which is allowed where operators took streams from them
	BadEnds  []string        // pods that were to shut down cleanly and did not
	Without  measure.Latency // how long streams had no owner after one that did not end its ownership
	Left     Left            // on the server in the calm
}

// holds reports whether every promise held.
func (s *Result) holds() bool {
	return s.Overlaps == "" && s.Lost == 0 && s.Missing == 0 && len(s.BadEnds) == 0 && s.Left == Left{}
}

// runner is one soak.
type runner struct {
	options  Options
	target   *target.Target
	dir      string // of journals and logs
	producer producer.Producer
	store    *store
	audit    audit
	result   Result
}

// Run has troubles strike pods at random while streams come and go, in rounds. After each round, when all is calm, the journals of the
// pods and what is left on the server must be what the library promises. If they are not, journals and logs are kept.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) // short enough to type
	}
	if len(o.Troubles) == 0 {
		o.Troubles = Troubles()
	}
	s, noClock, err := openTarget(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.Partitions = max(o.Partitions, 1)
	r.Redis = s.Version
	m := &runner{options: o, target: s, result: Result{
		Options: o, NoClock: noClock, Struck: make(map[string]int), ByHand: make(map[string]int), Poisoned: make(map[string]int),
	}}
	m.result.URL = "" // it may contain a password
	_, m.result.Spared = s.SingleAddr()
	if s.Private != nil {
		m.result.Outages = make(map[string]int)
	}
	m.producer = s.Track("soak", streamsPerEntry*o.Streams)
	if m.store, err = newStore(s, m.producer, streamsPerEntry*o.Streams); err != nil {
		return err
	}
	if m.dir, err = os.MkdirTemp("", "streamlease-bench-"); err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(m.dir))
			return
		}
		err = fmt.Errorf("seed %d, round %d: %w; journals and logs are in %s", o.Seed, m.result.Rounds, err, m.dir)
	}()
	if err := m.rounds(ctx, r); err != nil {
		return err
	}
	if err := r.Write(m.result, func(out io.Writer) { writeResult(out, m.result) }); err != nil {
		return err
	}
	if !m.result.holds() {
		return errors.New("a promise did not hold")
	}
	return nil
}

// openTarget opens the target, a private server with a clock that can be stepped where that is asked for and possible. noClock is why it is
// not possible.
func openTarget(ctx context.Context, o Options) (s *target.Target, noClock string, err error) {
	clocked := o.URL == "" && o.has(OnClock)
	s, err = target.OpenWith(ctx, o.URL, servers.Options{Persist: true, OwnClock: clocked})
	if clocked && errors.Is(err, servers.ErrNoClock) {
		noClock = err.Error()
		s, err = target.OpenWith(ctx, o.URL, servers.Options{Persist: true})
	}
	return s, noClock, err
}

// rounds runs rounds until the time is up. It ends early when a promise did not hold.
func (m *runner) rounds(ctx context.Context, r *report.Report) error {
	total := int(m.options.For.Seconds()) + 1 // the last step is the last calm
	steps := r.Steps("soak", total)
	defer steps.End()
	for done := time.Duration(0); done < m.options.For && m.result.holds(); {
		took, err := m.round(ctx, min(m.options.For-done, roundFor), func(what string, passed time.Duration) {
			steps.Reach(min(int((done+passed).Seconds()), total-1), fmt.Sprintf("soak, seed %d, round %d: %s", m.options.Seed, m.result.Rounds, what))
		})
		if err != nil {
			return err
		}
		done += took
	}
	return nil
}

// round runs a storm of duration d, or shorter where it comes to too many ownerships, then the calm after it, and the audit.
func (m *runner) round(ctx context.Context, d time.Duration, progress func(what string, passed time.Duration)) (took time.Duration, err error) {
	m.result.Rounds++
	alive, kill := context.WithCancel(ctx)
	defer kill()
	round, err := m.newRound(alive, m.result.Rounds)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, round.close()) }()
	began := time.Now()
	if err := round.storm(ctx, d, func(passed time.Duration) {
		progress(fmt.Sprintf("%s troubles, %s ownerships", report.Grouped(round.troubles()), report.Grouped(round.ownerships())), passed)
	}); err != nil {
		return 0, err
	}
	took = min(time.Since(began), d)
	if m.result.Left, err = round.calm(ctx, func(l Left) { progress(fmt.Sprintf("%s announcements left", report.Grouped(l.Input+l.Later)), took) }); err != nil {
		return took, err
	}
	return took, m.add(round)
}

// add audits a round, and deletes its files if every promise held.
func (m *runner) add(r *round) error {
	m.tally(r)
	letters := make(map[announcement]bool)
	unnamed := 0
	for _, l := range r.letters {
		letters[l.which] = true
		if l.which == (announcement{}) {
			unnamed++
		}
		if l.missing && !r.erased(l) {
			m.result.Missing++
		}
	}
	unaccounted, err := m.audit.add(r.journals(), facts{
		announced: r.announced, stream: m.producer.Stream, poisoned: r.poisoner.announced, letters: letters, excuse: r.excuse,
	})
	if err != nil {
		return err
	}
	unreadable := r.poisoner.unreadable
	if r.operator != nil {
		unreadable -= r.operator.erased
	}
	m.result.Missing += max(0, unreadable+unaccounted-unnamed)
	m.result.findings = m.audit.findings
	slices.Sort(m.audit.without)
	m.result.Without = measure.Latency{
		P50: measure.Quantile(m.audit.without, .5), P99: measure.Quantile(m.audit.without, .99), Max: measure.Quantile(m.audit.without, 1),
	}
	if !m.result.holds() {
		return errors.Join(m.audit.write(filepath.Join(m.dir, "ownerships.txt")), r.write(m.dir, m.audit.missed))
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "*"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// tally adds up what happened in a round.
func (m *runner) tally(r *round) {
	for _, p := range r.places {
		count(m.result.Struck, p.struck)
		m.result.Erred += p.erred
		m.result.Refused += p.refused
		m.result.BadEnds = append(m.result.BadEnds, p.badEnds...)
	}
	if r.outages != nil {
		count(m.result.Outages, r.outages.struck)
	}
	if r.clock != nil {
		count(m.result.Outages, r.clock.struck)
	}
	if r.operator != nil {
		count(m.result.ByHand, r.operator.struck)
	}
	count(m.result.Poisoned, r.poisoner.sent)
	m.result.Requeued += r.requeued
	for _, n := range r.announced {
		m.result.Announced += n
	}
}

func count(to, some map[string]int) {
	for name, n := range some {
		to[name] += n
	}
}
