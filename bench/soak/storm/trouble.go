package storm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

// Names of troubles.
const (
	Restarted = "restarted" // drained, and started again
	Killed    = "killed"
	Paused    = "paused" // SIGSTOP
	CutOff    = "cut off"

	Flushed  = "forgets its scripts"
	Failover = "hands over to a replica"
	Crashed  = "is killed, and a replica follows"
	Frozen   = "stands still"
	Moved    = "gives a slot away"
	FullUp   = "has a full tracking table"
)

// Names of what the machine does by itself.
const (
	Stood = "did not run"
	Slow  = "was slow"
	Down  = "was down with its cluster"
)

// Troubles, by whom they strike.
var (
	OnProcesses = []string{Restarted, Killed, Paused, CutOff}
	OnServers   = []string{Flushed, Failover, Crashed, Frozen, Moved, FullUp}
	ByItself    = []string{Stood, Slow, Down}
)

// quiet are troubles after which nothing may come again, since nobody loses a lease or a position.
var quiet = map[string]bool{Restarted: true, CutOff: true, Flushed: true, FullUp: true, Failover: true, Moved: true}

// harmless are troubles of servers that keep nobody from starting, ending, or storing positions.
var harmless = map[string]bool{Flushed: true, FullUp: true}

// Struck is a trouble that struck, on the clock of journals.
type Struck struct {
	Name        string
	Process     string           // empty: servers, hence all processes
	Hit         *cluster.SlotSet // what servers had; nil: all of them
	From, Until time.Duration
}

// Hits reports whether a trouble was one of the server that had a slot.
func (t Struck) Hits(slot uint16) bool { return t.Process == "" && (t.Hit == nil || t.Hit.Has(slot)) }

// Quiet reports whether nothing may come again after the trouble, since nobody loses a lease or a position.
func (t Struck) Quiet() bool { return quiet[t.Name] }

// Harmless reports whether the trouble, of servers, keeps nobody from starting, ending, or storing positions.
func (t Struck) Harmless() bool { return harmless[t.Name] }

// deck deals troubles at random, each one before any comes again.
type deck struct {
	all, left []string
	rnd       *rand.Rand
}

func (d *deck) next() (name string) {
	if len(d.left) == 0 {
		for _, i := range d.rnd.Perm(len(d.all)) {
			d.left = append(d.left, d.all[i])
		}
	}
	name, d.left = d.left[0], d.left[1:]
	return name
}

// patience is how long a trouble of servers may take, until they are whole again.
const patience = 2 * time.Minute

// slowShare is the part of the session TTL that a server may take to answer before that is a trouble.
const slowShare = 4

// Storm has troubles strike. One goroutine strikes the servers, and one each process. The fields are set before.
type Storm struct {
	Cluster *servers.Cluster
	Slots   []uint16 // that move
	Session time.Duration

	mu     sync.Mutex
	struck []Struck
}

// Struck returns the troubles that struck so far.
func (s *Storm) Struck() []Struck {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.struck)
}

// begins notes the begin of a trouble, of a process or of what has these slots. The function that it returns notes its end.
func (s *Storm) begins(name, process string, hit *cluster.SlotSet) (ends func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.struck)
	s.struck = append(s.struck, Struck{name, process, hit, journal.Monotonic(), 1<<62 - 1})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.struck[i].Until = journal.Monotonic()
	}
}

// Write writes the troubles as text into a folder.
func (s *Storm) Write(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	for _, t := range s.struck {
		of := "all"
		if t.Hit != nil {
			of = fmt.Sprint(t.Hit.Len())
		}
		fmt.Fprintf(&text, "%v to %v: %s %s (slots: %s)\n", t.From, t.Until, cmp.Or(t.Process, "a server"), t.Name, of)
	}
	return os.WriteFile(filepath.Join(dir, "troubles.txt"), []byte(text.String()), 0o600)
}

// ServersIn reports whether servers were in trouble since then, or shortly before.
func (s *Storm) ServersIn(since time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.struck {
		if t.Process == "" && !t.Harmless() && t.Until >= since-2*s.Session {
			return true
		}
	}
	return false
}

// Watch notes, until ctx ends, when servers answer late, the machine being busy, and when they report for long that the cluster is down: one master that
// is gone stops them all.
func (s *Storm) Watch(ctx context.Context) error {
	var g errgroup.Group
	for _, n := range s.Cluster.Nodes() {
		g.Go(func() error {
			for last := journal.Monotonic(); measure.Pause(ctx, s.Session/(2*slowShare)) == nil; {
				began := journal.Monotonic()
				within, cancel := context.WithTimeout(ctx, s.Session)
				info, err := n.Call(within, "CLUSTER", "INFO")
				cancel()
				now := journal.Monotonic()
				if ctx.Err() == nil && now-began >= s.Session/slowShare {
					s.add(Struck{Slow, "", nil, began, now})
				}
				if err != nil || strings.Contains(info, "cluster_state:ok") {
					last = now
				} else if now-last >= s.Session/2 { // sessions may have ended
					s.add(Struck{Down, "", nil, last, now})
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *Storm) add(t Struck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = append(s.struck, t)
}

// pause waits for a random time of about so many sessions.
func (s *Storm) pause(ctx context.Context, rnd *rand.Rand, sessions float64) error {
	return measure.Pause(ctx, time.Duration((0.5+rnd.Float64())*sessions*float64(s.Session)))
}

// Besides returns the troubles that struck, and what the machine did by itself, meanwhile or otherwise: ours make processes stand and servers
// slow, too.
func Besides(itself, ours []Struck) (all []Struck) {
	for _, t := range slices.Concat(itself, ours) {
		byUs := slices.ContainsFunc(ours, func(x Struck) bool {
			return (t.Name == Stood && x.Process == t.Process || t.Name == Slow && (x.Name == Frozen || x.Name == Crashed)) &&
				x.From <= t.Until && x.Until >= t.From
		})
		if !byUs {
			all = append(all, t)
		}
	}
	return all
}

// StrikeProcess has troubles strike one process after another at a place until ctx ends, and leaves one that runs.
func (s *Storm) StrikeProcess(ctx context.Context, p *Place, rnd *rand.Rand) error {
	for troubles := (deck{all: OnProcesses, rnd: rnd}); ; {
		if s.pause(ctx, rnd, 6) != nil {
			return nil
		}
		err := p.Look()
		if err != nil {
			return err
		}
		name := troubles.next()
		ends := s.begins(name, p.run, nil)
		switch name {
		case Restarted:
			began := journal.Monotonic()
			p.Judge(began, p.Drain())
			err = p.Start()
		case Killed:
			err = p.kill()
			ends()
			_ = s.pause(ctx, rnd, 1)
			if err == nil {
				err = p.Start()
			}
		case Paused:
			err = p.signal(syscall.SIGSTOP)
			_ = s.pause(ctx, rnd, 1)
			if e := p.signal(syscall.SIGCONT); err == nil {
				err = e
			}
		case CutOff:
			for range 1 + rnd.IntN(5) {
				s.cut(ctx, p.run)
				_ = measure.Pause(ctx, s.Session/10)
			}
		}
		ends()
		if err != nil {
			return fmt.Errorf("%s was %s: %w", p.run, name, err)
		}
	}
}

// cut closes all connections of a process. Nodes that do not answer have none.
func (s *Storm) cut(ctx context.Context, process string) {
	for _, n := range s.Cluster.Nodes() {
		ctx, cancel := context.WithTimeout(ctx, s.Session/4)
		list, err := n.Call(ctx, "CLIENT", "LIST")
		if err == nil {
			for line := range strings.Lines(list) {
				if who, found := strings.CutPrefix(strings.Fields(line + " x")[0], "id="); found && strings.Contains(line, " name="+process+" ") {
					_, _ = n.Call(ctx, "CLIENT", "KILL", "ID", who)
				}
			}
		}
		cancel()
	}
}

// StrikeServers has troubles strike the cluster until ctx ends, and leaves it whole.
func (s *Storm) StrikeServers(ctx context.Context, rnd *rand.Rand) error {
	whole := context.WithoutCancel(ctx) // what was begun is finished
	for troubles := (deck{all: OnServers, rnd: rnd}); ; {
		if s.pause(ctx, rnd, 5) != nil {
			return nil
		}
		name := troubles.next()
		within, cancel := context.WithTimeout(whole, patience)
		err := s.strike(within, name, rnd)
		cancel()
		if err != nil {
			return fmt.Errorf("a server %s: %w", name, err)
		}
	}
}

// strike has a trouble strike a master that has keys of the service, and waits until the cluster is whole again.
func (s *Storm) strike(ctx context.Context, name string, rnd *rand.Rand) error {
	slot := s.Slots[rnd.IntN(len(s.Slots))]
	m, err := s.Cluster.Owner(ctx, slot)
	if err != nil {
		return err
	}
	hit, err := slotsOf(ctx, m)
	if err != nil {
		return err
	}
	replicas, err := s.Cluster.Replicas(ctx, m)
	if err != nil || len(replicas) == 0 {
		return errors.Join(err, fmt.Errorf("%s has no replica", m.Addr()))
	}
	switch name {
	case Moved:
		hit = new(cluster.SlotSet)
		hit.AddRange(slot, slot)
	case FullUp:
		hit = nil
	}
	defer s.begins(name, "", hit)()
	switch name {
	case Flushed:
		_, err = m.Call(ctx, "SCRIPT", "FLUSH")
	case Failover:
		err = s.Cluster.Failover(ctx, replicas[0], servers.Graceful)
	case Crashed:
		err = s.crash(ctx, slot, m, replicas[0])
	case Frozen:
		if err = m.Pause(); err == nil {
			_ = s.pause(ctx, rnd, 0.3)
			err = m.Resume()
		}
	case Moved:
		err = s.move(ctx, slot, m, rnd)
	case FullUp:
		err = s.fill(ctx, rnd)
	}
	return errors.Join(err, s.Cluster.AwaitReady(ctx))
}

// slotsOf returns the slots of a master.
func slotsOf(ctx context.Context, m *servers.Server) (*cluster.SlotSet, error) {
	text, err := m.Call(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	set := new(cluster.SlotSet)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, slots := range fields[8:] {
			first, last, _ := strings.Cut(slots, "-")
			from, err := strconv.ParseUint(first, 10, 16)
			if err != nil {
				continue // a slot that moves
			}
			to, err := strconv.ParseUint(cmp.Or(last, first), 10, 16)
			if err != nil {
				return nil, err
			}
			set.AddRange(uint16(from), uint16(to))
		}
	}
	return set, nil
}

// crash kills a master, and starts it again as a replica of the one that has followed.
func (s *Storm) crash(ctx context.Context, slot uint16, m, replica *servers.Server) error {
	if err := m.Kill(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 5*s.Session)
	_, err := s.Cluster.AwaitOwner(within, slot, m)
	cancel()
	if err != nil { // on a busy machine the others may not agree for minutes
		err = s.Cluster.Failover(ctx, replica, servers.Takeover)
	}
	return errors.Join(err, m.Restart(ctx, false))
}

// move moves a slot to another master, with a rest half-way.
func (s *Storm) move(ctx context.Context, slot uint16, owner *servers.Server, rnd *rand.Rand) error {
	masters, err := s.Cluster.Masters(ctx)
	if err != nil {
		return err
	}
	to := masters[rnd.IntN(len(masters))]
	for to == owner {
		to = masters[rnd.IntN(len(masters))]
	}
	m, err := s.Cluster.BeginMove(ctx, slot, to)
	if err != nil {
		return err
	}
	if _, err := m.Some(ctx, 1+rnd.IntN(3)); err != nil {
		return err
	}
	_ = s.pause(ctx, rnd, 0.5)
	return m.Finish(ctx)
}

// fill makes the tracking tables of all servers much too small for a while.
func (s *Storm) fill(ctx context.Context, rnd *rand.Rand) error {
	set := func(n int) error {
		for _, node := range s.Cluster.Nodes() {
			if _, err := node.Call(ctx, "CONFIG", "SET", "tracking-table-max-keys", strconv.Itoa(n)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := set(100); err != nil {
		return err
	}
	_ = s.pause(ctx, rnd, 2)
	return set(1_000_000)
}
