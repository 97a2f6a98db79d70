package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/test/servers"
)

// SoakOptions say what happens to whom.
type SoakOptions struct {
	URL        string // of the Redis; empty: a private server
	For        time.Duration
	Pods       int
	Partitions int           // 0: the default
	Streams    int           // announcements in play at a time
	LeaseTTL   time.Duration // not 0
	SessionTTL time.Duration // not 0
	Seed       uint64        // of all decisions; 0: drawn
}

// Soaked is what a time full of troubles came to.
type Soaked struct {
	SoakOptions
	Rounds    int
	Struck    map[string]int // how often each trouble did
	Outages   map[string]int // of the server, by what happened to it; nil: it is somebody's
	Spared    string         // why nothing happened to links; empty: it did
	Announced int
	found
	Without Latency // an owner, after owners that did not end their ownership
	Left    Left    // on the server in the calm
}

// holds is whether all that was promised held.
func (s *Soaked) holds() bool { return s.Overlaps == "" && s.Lost == 0 && s.Left == Left{} }

// soak is one run of the measurement.
type soak struct {
	options  SoakOptions
	site     *site
	dir      string // of journals and logs
	producer producer.Producer
	keeper   *keeper
	audit    audit
	result   Soaked
}

// Soak has things happen to pods at random while streams come and go, in rounds: after each, when all is calm, what the
// pods wrote down and what is left on the server must be what the library promises. If it is not, journals and logs stay.
func Soak(ctx context.Context, o SoakOptions, r *Report) (err error) {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) // short enough to be typed
	}
	s, err := openSiteOn(ctx, o.URL, servers.Options{Persist: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.parts = max(o.Partitions, 1)
	r.Redis = s.version
	m := &soak{options: o, site: s, result: Soaked{SoakOptions: o, Struck: make(map[string]int)}}
	m.result.URL = "" // it may have a password
	_, m.result.Spared = s.front()
	if s.private != nil {
		m.result.Outages = make(map[string]int)
	}
	m.producer = s.use("soak", streamsPerEntry*o.Streams)
	if m.keeper, err = newKeeper(s, m.producer, streamsPerEntry*o.Streams); err != nil {
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
	if err := r.Write(m.result, func(out io.Writer) { writeSoaked(out, m.result) }); err != nil {
		return err
	}
	if !m.result.holds() {
		return errors.New("what was promised did not hold")
	}
	return nil
}

// rounds ends early when something did not hold.
func (m *soak) rounds(ctx context.Context, r *Report) error {
	total := int(m.options.For.Seconds()) + 1 // it is over when the last calm is
	steps := r.steps("soak", total)
	defer steps.end()
	for done := time.Duration(0); done < m.options.For && m.result.holds(); {
		took, err := m.round(ctx, min(m.options.For-done, roundFor), func(what string, passed time.Duration) {
			steps.reach(min(int((done+passed).Seconds()), total-1), fmt.Sprintf("soak, seed %d, round %d: %s", m.options.Seed, m.result.Rounds, what))
		})
		if err != nil {
			return err
		}
		done += took
	}
	return nil
}

// round is a storm of so long, or less if there is too much to write down, the calm after it, and the audit.
func (m *soak) round(ctx context.Context, d time.Duration, tell func(what string, passed time.Duration)) (took time.Duration, err error) {
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
		tell(fmt.Sprintf("%s troubles, %s ownerships", grouped(round.troubles()), grouped(round.ownerships())), passed)
	}); err != nil {
		return 0, err
	}
	took = min(time.Since(began), d)
	if m.result.Left, err = round.calm(ctx, func(l Left) { tell(fmt.Sprintf("%s announcements left", grouped(l.Input+l.Later)), took) }); err != nil {
		return took, err
	}
	return took, m.add(round)
}

// add has a round audited, and throws away what it wrote if that is as promised.
func (m *soak) add(r *round) error {
	for _, p := range r.places {
		for name, n := range p.struck {
			m.result.Struck[name] += n
		}
	}
	if r.outages != nil {
		for name, n := range r.outages.struck {
			m.result.Outages[name] += n
		}
	}
	for _, n := range r.announced {
		m.result.Announced += n
	}
	if err := m.audit.add(r.journals(), r.announced, m.producer.Stream); err != nil {
		return err
	}
	m.result.found = m.audit.found
	slices.Sort(m.audit.without)
	m.result.Without = Latency{quantile(m.audit.without, .5), quantile(m.audit.without, .99), quantile(m.audit.without, 1)}
	if !m.result.holds() {
		return m.audit.write(filepath.Join(m.dir, "ownerships.txt"))
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "*"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

func writeSoaked(out io.Writer, s Soaked) {
	t := newTable("what happened", "")
	for _, name := range slices.Sorted(maps.Keys(s.Struck)) {
		t.row("pods "+name, grouped(s.Struck[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Outages)) {
		t.row("the server "+name, grouped(s.Outages[name]))
	}
	t.row("announcements", grouped(s.Announced))
	t.row("ownerships", grouped(s.Ownerships))
	t.row("done", grouped(s.Done))
	t.row("done again, though they were done before", grouped(s.Again))
	t.row("ended by a Done of unknown outcome", grouped(s.Unknown))
	t.row("failed by lot", grouped(s.Failed))
	t.row("handed back", grouped(s.HandedBack))
	t.row("not ended by the owner, and recovered", grouped(s.Recovered))
	t.row("without an owner then, p50", milliseconds(s.Without.P50))
	t.row("without an owner then, p99", milliseconds(s.Without.P99))
	t.row("without an owner then, max", milliseconds(s.Without.Max))
	t.row("announcements that nobody was done with", grouped(s.Lost))
	t.row("left on the server in the calm", s.Left)
	t.write(out)
	if s.Overlaps != "" {
		fmt.Fprintf(out, "\n%s\n", s.Overlaps)
	}
	if s.Lost > 0 {
		fmt.Fprintf(out, "\nnobody was done with announcements of %s\n", strings.Join(s.LostOf, ", "))
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles, rounds: %d; %d pods, partitions: %d, %s announcements in play of %s streams; lease TTL %v, session TTL %v.
What happens to a pod lasts for up to twice the session TTL. A link that is cut resets connections, one that flickers too, and takes new
ones at once; a stalled one lets nothing through, a delayed one is slow, one unanswered loses the answer to a script.
Each round ends in a calm: all is done, nobody is there but the pods that run, and these end in good order.
without an owner  from when the last owner was last seen to own the stream, by its own journal, until the next one was told of it
`, s.Seed, s.For, s.Rounds, s.Pods, max(s.Partitions, 1), grouped(s.Streams), grouped(streamsPerEntry*s.Streams), s.LeaseTTL, s.SessionTTL)
	if s.Outages == nil {
		fmt.Fprintln(out, "Nothing happened to the server, which is not ours.")
	} else {
		fmt.Fprintln(out, "The server stands still or is killed, for up to twice the session TTL, and comes back with all that it had acknowledged.")
	}
	if s.Spared != "" {
		fmt.Fprintf(out, "Nothing happened to links: no proxy can stand before %s.\n", s.Spared)
	}
	overlaps := 0
	if s.Overlaps != "" {
		overlaps = 1
	}
	goal(out, "rounds whose journals show two owners or falling tokens", float64(overlaps), "at most", 0)
	goal(out, "announcements that nobody was done with", float64(s.Lost), "at most", 0)
	goal(out, "left on the server in the calm", float64(s.Left.sum()), "at most", 0)
}
