package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
)

// FleetOptions say what happens to a fleet whose processes keep their streams, and for how long.
type FleetOptions struct {
	URL        string        // of the Redis; empty: a private server
	For        time.Duration // how long troubles strike, the calms not included
	Storm      time.Duration // how long each storm is
	Calm       time.Duration // how long shares may take to become even after a storm
	Processes  int           // at most; at least 2
	Partitions int
	Streams    int
	LeaseTTL   time.Duration // above 0
	SessionTTL time.Duration // above 0
	Seed       uint64        // of all random decisions; 0: chosen at random
	Balance    pod.Balance   // where it is not all on, shares need not become even
	Old        string        // path of another build of this program, which some of the processes run during a storm; empty: none
}

// balances reports whether processes are to come to even shares.
func (o *FleetOptions) balances() bool { return o.Balance == "" || o.Balance == pod.BalanceOn }

// FleetResult is the outcome.
type FleetResult struct {
	FleetOptions
	Struck   map[string]int
	Starts   int // of processes
	Older    int // of these, of the other build
	Rounds   []FleetRound
	Letters  int // streams that became dead letters: another build may give up a stream whose owners died again and again
	Refused  int // starts that failed, and were retried
	Overlaps string
	BadEnds  []string // processes that were to shut down cleanly and did not
	Left     Left     // on the server when the last process has ended, besides the streams
}

// FleetRound is a storm and the calm after it.
type FleetRound struct {
	Processes  int // in the calm
	Ownerships int
	Owned      time.Duration // after the storm, until all streams had an owner
	Even       bool          // shares became even, or need not
	Balanced   time.Duration // likewise, until shares were even
	Held       []int         // by process, at the end of the calm
	Lost       int           // streams that nobody owned then
}

// fleet is one run.
type fleet struct {
	options  FleetOptions
	target   *target.Target
	producer producer.Producer
	store    *store
	dir      string
	audit    audit
	result   FleetResult
}

// RunFleet has troubles strike processes that share streams while others come and go, in rounds. After each round, when nothing is disturbed any
// more, each stream must have one owner, and shares must become even. If they do not, journals and logs are kept.
func RunFleet(ctx context.Context, o FleetOptions, r *report.Report) (err error) {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32())
	}
	s, err := target.Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.Partitions = max(o.Partitions, 1)
	r.Redis = s.Version
	m := &fleet{options: o, target: s, producer: s.Track("fleet", o.Streams), result: FleetResult{FleetOptions: o, Struck: make(map[string]int)}}
	m.result.URL = "" // it may contain a password
	if m.store, err = newStore(s, m.producer, o.Streams); err != nil {
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
		err = fmt.Errorf("seed %d, round %d: %w; journals and logs are in %s", o.Seed, len(m.result.Rounds), err, m.dir)
	}()
	if err := m.rounds(ctx, r); err != nil {
		return err
	}
	if err := r.Write(m.result, func(out io.Writer) { m.result.write(out) }); err != nil {
		return err
	}
	if !m.result.holds() {
		return errors.New("a promise did not hold")
	}
	return nil
}

// rounds runs rounds until the time is up. It ends early when a promise did not hold.
func (m *fleet) rounds(ctx context.Context, r *report.Report) error {
	if _, err := m.producer.Announce(ctx, 0, m.options.Streams); err != nil {
		return err
	}
	total := int(m.options.For.Seconds()) + 1
	steps := r.Steps("soak of a fleet", total)
	defer steps.End()
	for done := time.Duration(0); done < m.options.For && m.result.holds(); done += m.options.Storm {
		number := len(m.result.Rounds) + 1
		err := m.round(ctx, number, min(m.options.Storm, m.options.For-done), func(what string) {
			steps.Reach(int(done.Seconds()), fmt.Sprintf("soak of a fleet, seed %d, round %d: %s", m.options.Seed, number, what))
		})
		if err != nil {
			return err
		}
	}
	return m.look(ctx)
}

// round runs a storm of duration d, the calm after it, and the audit.
func (m *fleet) round(ctx context.Context, number int, d time.Duration, progress func(what string)) (err error) {
	alive, kill := context.WithCancel(ctx)
	defer kill()
	g, err := m.gather(alive, number)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	progress("storm")
	if err := g.storm(ctx, d); err != nil {
		return err
	}
	progress("calm")
	round, err := g.calm(ctx)
	if err != nil {
		return err
	}
	if err := g.all((*place).end); err != nil {
		return err
	}
	for _, p := range g.places {
		count(m.result.Struck, p.struck)
		m.result.Starts += len(p.all)
		m.result.Older += p.older
		m.result.Refused += p.refused
		m.result.BadEnds = append(m.result.BadEnds, p.badEnds...)
	}
	return m.add(round, g)
}

// add audits a round, and deletes its files if every promise held.
func (m *fleet) add(round FleetRound, g *gathering) error {
	journals := g.journals()
	if _, err := m.audit.add(journals, facts{stream: m.producer.Stream}); err != nil {
		return err
	}
	letters, err := m.store.letters(g.ctx)
	if err != nil {
		return err
	}
	m.result.Letters = len(letters)
	round.Ownerships = len(m.audit.entries)
	m.result.Rounds = append(m.result.Rounds, round)
	m.result.Overlaps = m.audit.findings.Overlaps
	if !m.result.holds() {
		return m.audit.write(filepath.Join(m.dir, "ownerships.txt"))
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "*"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// look notes what is on the server, besides the streams, when no process runs any more.
func (m *fleet) look(ctx context.Context) (err error) {
	m.result.Left, err = m.store.look(ctx)
	m.result.Left.Input -= m.options.Streams - m.result.Letters
	m.result.Left.DeadLetters -= m.result.Letters
	return err
}

// holds reports whether every promise held.
func (r *FleetResult) holds() bool {
	for _, x := range r.Rounds {
		if x.Lost > 0 || !x.Even {
			return false
		}
	}
	return r.Overlaps == "" && len(r.BadEnds) == 0 && r.Left == Left{} && (r.Letters == 0 || r.Old != "")
}
