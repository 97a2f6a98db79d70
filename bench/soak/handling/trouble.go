package handling

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
	restarted = "restarted" // drained, and started again
	killed    = "killed"
	paused    = "paused" // SIGSTOP
	cutOff    = "cut off"

	flushed  = "forgets its scripts"
	failover = "hands over to a replica"
	crashed  = "is killed, and a replica follows"
	frozen   = "stands still"
	moved    = "gives a slot away"
	fullUp   = "has a full tracking table"
)

// Names of what the machine does by itself.
const (
	stood = "did not run"
	slow  = "was slow"
	down  = "was down with its cluster"
)

var (
	onProcesses = []string{restarted, killed, paused, cutOff}
	onServers   = []string{flushed, failover, crashed, frozen, moved, fullUp}
	byItself    = []string{stood, slow, down}
)

// quiet are troubles after which nothing may come again, since nobody loses a lease or a position.
var quiet = map[string]bool{restarted: true, cutOff: true, flushed: true, fullUp: true, failover: true, moved: true}

// harmless are troubles of servers that keep nobody from starting, ending, or storing positions.
var harmless = map[string]bool{flushed: true, fullUp: true}

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

// storm has troubles strike. One goroutine strikes the servers, and one each process.
type storm struct {
	cluster *servers.Cluster
	places  []*place
	slots   []uint16 // that move
	session time.Duration

	mu     sync.Mutex
	struck []struck
}

// begins notes the begin of a trouble, of a process or of what has these slots. The function that it returns notes its end.
func (s *storm) begins(name, process string, hit *cluster.SlotSet) (ends func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.struck)
	s.struck = append(s.struck, struck{name, process, hit, journal.Monotonic(), 1<<62 - 1})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.struck[i].until = journal.Monotonic()
	}
}

// write writes the troubles as text.
func (s *storm) write(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	for _, t := range s.struck {
		of := "all"
		if t.hit != nil {
			of = fmt.Sprint(t.hit.Len())
		}
		fmt.Fprintf(&text, "%v to %v: %s %s (slots: %s)\n", t.from, t.until, cmp.Or(t.process, "a server"), t.name, of)
	}
	return os.WriteFile(filepath.Join(dir, "troubles.txt"), []byte(text.String()), 0o600)
}

// serversIn reports whether servers were in trouble since then, or shortly before.
func (s *storm) serversIn(since time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.struck {
		if t.process == "" && !harmless[t.name] && t.until >= since-2*s.session {
			return true
		}
	}
	return false
}

// watch notes when servers answer late, the machine being busy, and when they report for long that the cluster is down: one master that
// is gone stops them all.
func (s *storm) watch(ctx context.Context) error {
	var g errgroup.Group
	for _, n := range s.cluster.Nodes() {
		g.Go(func() error {
			for last := journal.Monotonic(); measure.Pause(ctx, s.session/(2*stallShare)) == nil; {
				began := journal.Monotonic()
				within, cancel := context.WithTimeout(ctx, s.session)
				info, err := n.Call(within, "CLUSTER", "INFO")
				cancel()
				now := journal.Monotonic()
				if ctx.Err() == nil && now-began >= s.session/stallShare {
					s.add(struck{slow, "", nil, began, now})
				}
				if err != nil || strings.Contains(info, "cluster_state:ok") {
					last = now
				} else if now-last >= s.session/2 { // sessions may have ended
					s.add(struck{down, "", nil, last, now})
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *storm) add(t struck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = append(s.struck, t)
}

// pause waits for a random time of about so many sessions.
func (s *storm) pause(ctx context.Context, rnd *rand.Rand, sessions float64) error {
	return measure.Pause(ctx, time.Duration((0.5+rnd.Float64())*sessions*float64(s.session)))
}

// besides returns the troubles that struck, and what the machine did by itself, meanwhile or otherwise: ours make processes stand and servers
// slow, too.
func besides(itself, ours []struck) (all []struck) {
	for _, t := range slices.Concat(itself, ours) {
		byUs := slices.ContainsFunc(ours, func(x struck) bool {
			return (t.name == stood && x.process == t.process || t.name == slow && (x.name == frozen || x.name == crashed)) &&
				x.from <= t.until && x.until >= t.from
		})
		if !byUs {
			all = append(all, t)
		}
	}
	return all
}

// strikeProcess has troubles strike one process after another at a place until ctx ends, and leaves one that runs.
func (s *storm) strikeProcess(ctx context.Context, p *place, rnd *rand.Rand) error {
	for troubles := (deck{all: onProcesses, rnd: rnd}); ; {
		if s.pause(ctx, rnd, 6) != nil {
			return nil
		}
		err := p.look()
		if err != nil {
			return err
		}
		name := troubles.next()
		ends := s.begins(name, p.run, nil)
		switch name {
		case restarted:
			began := journal.Monotonic()
			p.judge(began, p.drain())
			err = p.start()
		case killed:
			err = p.kill()
			ends()
			_ = s.pause(ctx, rnd, 1)
			if err == nil {
				err = p.start()
			}
		case paused:
			err = p.signal(syscall.SIGSTOP)
			_ = s.pause(ctx, rnd, 1)
			if e := p.signal(syscall.SIGCONT); err == nil {
				err = e
			}
		case cutOff:
			for range 1 + rnd.IntN(5) {
				s.cut(ctx, p.run)
				_ = measure.Pause(ctx, s.session/10)
			}
		}
		ends()
		if err != nil {
			return fmt.Errorf("%s was %s: %w", p.run, name, err)
		}
	}
}

// cut closes all connections of a process. Nodes that do not answer have none.
func (s *storm) cut(ctx context.Context, process string) {
	for _, n := range s.cluster.Nodes() {
		ctx, cancel := context.WithTimeout(ctx, s.session/4)
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

// strikeServers has troubles strike the cluster until ctx ends, and leaves it whole.
func (s *storm) strikeServers(ctx context.Context, rnd *rand.Rand) error {
	whole := context.WithoutCancel(ctx) // what was begun is finished
	for troubles := (deck{all: onServers, rnd: rnd}); ; {
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
func (s *storm) strike(ctx context.Context, name string, rnd *rand.Rand) error {
	slot := s.slots[rnd.IntN(len(s.slots))]
	m, err := s.cluster.Owner(ctx, slot)
	if err != nil {
		return err
	}
	hit, err := slotsOf(ctx, m)
	if err != nil {
		return err
	}
	replicas, err := s.cluster.Replicas(ctx, m)
	if err != nil || len(replicas) == 0 {
		return errors.Join(err, fmt.Errorf("%s has no replica", m.Addr()))
	}
	switch name {
	case moved:
		hit = new(cluster.SlotSet)
		hit.AddRange(slot, slot)
	case fullUp:
		hit = nil
	}
	defer s.begins(name, "", hit)()
	switch name {
	case flushed:
		_, err = m.Call(ctx, "SCRIPT", "FLUSH")
	case failover:
		err = s.cluster.Failover(ctx, replicas[0], servers.Graceful)
	case crashed:
		err = s.crash(ctx, slot, m, replicas[0])
	case frozen:
		if err = m.Pause(); err == nil {
			_ = s.pause(ctx, rnd, 0.3)
			err = m.Resume()
		}
	case moved:
		err = s.move(ctx, slot, m, rnd)
	case fullUp:
		err = s.fill(ctx, rnd)
	}
	return errors.Join(err, s.cluster.AwaitReady(ctx))
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
func (s *storm) crash(ctx context.Context, slot uint16, m, replica *servers.Server) error {
	if err := m.Kill(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 5*s.session)
	_, err := s.cluster.AwaitOwner(within, slot, m)
	cancel()
	if err != nil { // on a busy machine the others may not agree for minutes
		err = s.cluster.Failover(ctx, replica, servers.Takeover)
	}
	return errors.Join(err, m.Restart(ctx, false))
}

// move moves a slot to another master, with a rest half-way.
func (s *storm) move(ctx context.Context, slot uint16, owner *servers.Server, rnd *rand.Rand) error {
	masters, err := s.cluster.Masters(ctx)
	if err != nil {
		return err
	}
	to := masters[rnd.IntN(len(masters))]
	for to == owner {
		to = masters[rnd.IntN(len(masters))]
	}
	m, err := s.cluster.BeginMove(ctx, slot, to)
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
func (s *storm) fill(ctx context.Context, rnd *rand.Rand) error {
	set := func(n int) error {
		for _, node := range s.cluster.Nodes() {
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
