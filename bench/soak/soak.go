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

// SoakOptions say what happens to whom.
type Options struct {
	URL        string // of the Redis; empty: a private server
	For        time.Duration
	Pods       int
	Partitions int           // 0: the default
	Streams    int           // announcements in play at a time
	LeaseTTL   time.Duration // not 0
	SessionTTL time.Duration // not 0
	Seed       uint64        // of all decisions; 0: drawn
	Troubles   []string      // what happens, of Troubles; empty: all
}

// Soaked is what a time full of troubles came to.
type Result struct {
	Options
	Rounds    int
	Struck    map[string]int // how often each trouble did
	Outages   map[string]int // of the server, by what happened to it; nil: it is somebody's
	ByHand    map[string]int // entries that operators laid hands on, by what they did
	Poisoned  map[string]int // entries that nobody should send, by what is wrong with them
	Spared    string         // why nothing happened to links; empty: it did
	NoClock   string         // why nothing happened to the server's clock; empty: it did, or was not to
	Announced int
	findings
	Missing  int             // entries that nobody should send, and are neither done nor dead letters
	Requeued int             // stranded entries that nobody need have known of: they were brought back in the calm
	Refused  int             // starts of pods that failed, and were tried again
	Erred    int             // pods that ended with an error, as they may where streams were taken from them by hand
	BadEnds  []string        // pods that did not end in good order
	Without  measure.Latency // an owner, after owners that did not end their ownership
	Left     Left            // on the server in the calm
}

// holds is whether all that was promised held.
func (s *Result) holds() bool {
	return s.Overlaps == "" && s.Lost == 0 && s.Missing == 0 && len(s.BadEnds) == 0 && s.Left == Left{}
}

// soak is one run of the measurement.
type runner struct {
	options  Options
	target   *target.Target
	dir      string // of journals and logs
	producer producer.Producer
	store    *store
	audit    audit
	result   Result
}

// Soak has things happen to pods at random while streams come and go, in rounds: after each, when all is calm, what the
// pods wrote down and what is left on the server must be what the library promises. If it is not, journals and logs stay.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) // short enough to be typed
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
	m.result.URL = "" // it may have a password
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
		return errors.New("what was promised did not hold")
	}
	return nil
}

// openSoaked has a private server with a clock that can be stepped, where there is one and that is asked for; else it says why not.
func openTarget(ctx context.Context, o Options) (s *target.Target, noClock string, err error) {
	clocked := o.URL == "" && o.has(OnClock)
	s, err = target.OpenWith(ctx, o.URL, servers.Options{Persist: true, OwnClock: clocked})
	if clocked && errors.Is(err, servers.ErrNoClock) {
		noClock = err.Error()
		s, err = target.OpenWith(ctx, o.URL, servers.Options{Persist: true})
	}
	return s, noClock, err
}

// rounds ends early when something did not hold.
func (m *runner) rounds(ctx context.Context, r *report.Report) error {
	total := int(m.options.For.Seconds()) + 1 // it is over when the last calm is
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

// round is a storm of so long, or less if there is too much to write down, the calm after it, and the audit.
func (m *runner) round(ctx context.Context, d time.Duration, tell func(what string, passed time.Duration)) (took time.Duration, err error) {
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
		tell(fmt.Sprintf("%s troubles, %s ownerships", report.Grouped(round.troubles()), report.Grouped(round.ownerships())), passed)
	}); err != nil {
		return 0, err
	}
	took = min(time.Since(began), d)
	if m.result.Left, err = round.calm(ctx, func(l Left) { tell(fmt.Sprintf("%s announcements left", report.Grouped(l.Input+l.Later)), took) }); err != nil {
		return took, err
	}
	return took, m.add(round)
}

// add has a round audited, and throws away what it wrote if that is as promised.
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

// tally counts what happened in a round.
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
