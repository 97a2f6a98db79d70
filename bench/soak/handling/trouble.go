package handling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
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

var (
	onProcesses = []string{restarted, killed, paused, cutOff}
	onServers   = []string{flushed, failover, crashed, frozen, moved, fullUp}
)

// quiet are troubles after which nothing may come again.
var quiet = map[string]bool{restarted: true, flushed: true, fullUp: true}

// storm has troubles strike. One goroutine strikes the servers, and one each process.
type storm struct {
	cluster *servers.Cluster
	places  []*place
	slots   []uint16 // that move
	session time.Duration

	mu     sync.Mutex
	struck []struck
}

// begins notes the begin of a trouble. The function that it returns notes its end.
func (s *storm) begins(name, process string) (ends func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.struck)
	s.struck = append(s.struck, struck{name, process, journal.Monotonic(), 1<<62 - 1, !quiet[name]})
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
		fmt.Fprintf(&text, "%v to %v: %s %s\n", t.from, t.until, cmp.Or(t.process, "a server"), t.name)
	}
	return os.WriteFile(filepath.Join(dir, "troubles.txt"), []byte(text.String()), 0o600)
}

// serversIn reports whether servers were in trouble since then, or shortly before: a drain may fail then.
func (s *storm) serversIn(since time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.struck {
		if t.process == "" && t.until >= since-2*s.session {
			return true
		}
	}
	return false
}

// pause waits for a random time of about so many sessions.
func (s *storm) pause(ctx context.Context, rnd *rand.Rand, sessions float64) error {
	return measure.Pause(ctx, time.Duration((0.5+rnd.Float64())*sessions*float64(s.session)))
}

// strikeProcess has troubles strike one process after another at a place until ctx ends, and leaves one that runs.
func (s *storm) strikeProcess(ctx context.Context, p *place, rnd *rand.Rand) error {
	for {
		if s.pause(ctx, rnd, 6) != nil {
			return nil
		}
		name := onProcesses[rnd.IntN(len(onProcesses))]
		ends := s.begins(name, p.run)
		var err error
		switch name {
		case restarted:
			began := journal.Monotonic()
			if bad := p.drain(); bad != nil && !s.serversIn(began) {
				p.badEnds = append(p.badEnds, fmt.Sprintf("%s: %v", p.run, bad))
			}
			err = p.start()
		case killed:
			err = p.process.Kill()
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
	for {
		if s.pause(ctx, rnd, 5) != nil {
			return nil
		}
		name := onServers[rnd.IntN(len(onServers))]
		ends := s.begins(name, "")
		within, cancel := context.WithTimeout(whole, patience)
		err := s.strike(within, name, rnd)
		cancel()
		ends()
		if err != nil {
			return fmt.Errorf("a server %s: %w", name, err)
		}
	}
}

func (s *storm) strike(ctx context.Context, name string, rnd *rand.Rand) error {
	masters, err := s.cluster.Masters(ctx)
	if err != nil {
		return err
	}
	m := masters[rnd.IntN(len(masters))]
	switch name {
	case flushed:
		_, err = m.Call(ctx, "SCRIPT", "FLUSH")
		return err
	case failover:
		replicas, err := s.cluster.Replicas(ctx, m)
		if err != nil {
			return err
		}
		if len(replicas) == 0 {
			return nil // it is alone until the other one is in step
		}
		if err := s.cluster.Failover(ctx, replicas[0], servers.Graceful); err != nil {
			return err
		}
	case crashed:
		if err := s.crash(ctx, rnd); err != nil {
			return err
		}
	case frozen:
		if err := m.Pause(); err != nil {
			return err
		}
		_ = s.pause(ctx, rnd, 0.3)
		if err := m.Resume(); err != nil {
			return err
		}
	case moved:
		if err := s.move(ctx, rnd); err != nil {
			return err
		}
	case fullUp:
		return s.fill(ctx, rnd)
	}
	return s.cluster.AwaitReady(ctx)
}

// crash kills a master that has keys of the service, and starts it again as a replica of the one that has followed.
func (s *storm) crash(ctx context.Context, rnd *rand.Rand) error {
	slot := s.slots[rnd.IntN(len(s.slots))]
	m, err := s.cluster.Owner(ctx, slot)
	if err != nil {
		return err
	}
	replicas, err := s.cluster.Replicas(ctx, m)
	if err != nil {
		return err
	}
	if len(replicas) == 0 {
		return nil
	}
	if err := m.Kill(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 5*s.session)
	_, err = s.cluster.AwaitOwner(within, slot, m)
	cancel()
	if err != nil { // on a busy machine the others may not agree for minutes
		err = s.cluster.Failover(ctx, replicas[0], servers.Takeover)
	}
	return errors.Join(err, m.Restart(ctx, false))
}

// move moves a slot to another master, with a rest half-way.
func (s *storm) move(ctx context.Context, rnd *rand.Rand) error {
	slot := s.slots[rnd.IntN(len(s.slots))]
	owner, err := s.cluster.Owner(ctx, slot)
	if err != nil {
		return err
	}
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
