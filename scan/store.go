package scan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// claimTime is how long a recovery may stand still before somebody else takes it up. Each page extends it.
const claimTime = 3 * time.Second

// Settings are the times and limits that go out with the calls.
type Settings struct {
	Config
	SessionTTL time.Duration
	Settle     bool
	Timeout    time.Duration // of one round trip
	Page       int           // entries a script
}

// Store finds what dead consumers left and gives it back. It holds no state but the client, and is safe for concurrent
// use; every call may be repeated.
type Store struct {
	layout *cluster.Layout
	set    Settings
	run    *lease.Runner
	mode   string
}

// NewStore makes calls on a client that stays the caller's. observe may be nil.
func NewStore(layout *cluster.Layout, set Settings, client rueidis.Client,
	observe func(script string, took time.Duration, err error)) *Store {
	mode := "info"
	if !set.Settle {
		mode = "off"
	}
	return &Store{layout: layout, set: set, run: lease.NewRunner(client, observe), mode: mode}
}

func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.set.Timeout)
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Turn takes the turn to scan a partition for this interval; false when somebody has it.
func (s *Store) Turn(ctx context.Context, p int, me string) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.run.Do(ctx, lease.Call{
		Script: scriptTurn,
		Keys:   []string{s.layout.Keys(p).Scan},
		// A little less than the interval, so that who had it last does not find its own mark.
		Args: []string{me, ms(s.set.Interval * 9 / 10)},
	}).AsInt64()
	return n == 1, err
}

// Dead lists the consumers whose sessions are over. With adopt it looks at the whole group and gives those without a
// session one, so that they are dead or known at a later look. Nothing is listed while the partition settles.
func (s *Store) Dead(ctx context.Context, p int, me string, adopt bool) ([]string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	flag := "0"
	if adopt {
		flag = "1"
	}
	parts, err := s.run.Do(ctx, lease.Call{
		Script: scriptPeers,
		Keys:   []string{k.Input, k.Sessions},
		Args:   []string{me, s.layout.Group(), s.mode, ms(s.set.SessionTTL), flag},
	}).ToArray()
	if err != nil || len(parts) != 2 {
		return nil, err
	}
	return parts[1].AsStrSlice()
}

// ErrNotMine says that a recovery was left alone: the consumer lives, somebody else recovers it, or the partition
// settles.
var ErrNotMine = errors.New("scan: nothing to recover here now")

// Recovered is what a recovery did.
type Recovered struct {
	Entries int // given back, or put off
	Dead    int // of which dead letters
	Gone    int // whose bodies were deleted
	Scripts int // recover scripts run
	Removed bool
}

// Recover gives back all that a dead consumer left pending, page by page, and removes it. It returns ErrNotMine when
// there is nothing for this process to do now. A recovery that breaks off leaves the rest for the next one.
func (s *Store) Recover(ctx context.Context, p int, me, dead string) (done Recovered, err error) {
	after := "-"
	for {
		orphans, death, err := s.orphans(ctx, p, me, dead, after)
		if err != nil {
			return done, err
		}
		if len(orphans) == 0 {
			break
		}
		if err := s.giveBack(ctx, p, me, dead, orphans, death, &done); err != nil {
			return done, err
		}
		after = "(" + orphans[len(orphans)-1].ID
	}
	left, err := s.sweep(ctx, p, me, dead)
	done.Removed = left == 0
	return done, err
}

func (s *Store) orphans(ctx context.Context, p int, me, dead, after string) ([]Orphan, Death, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	parts, err := s.run.Do(ctx, lease.Call{
		Script: scriptOrphans,
		Keys:   []string{k.Input, k.Sessions, k.Recover(dead)},
		Args:   []string{me, s.layout.Group(), s.mode, dead, ms(claimTime), after, strconv.Itoa(s.set.Page)},
	}).ToArray()
	if err != nil {
		return nil, Death{}, err
	}
	if len(parts) < 3 {
		return nil, Death{}, ErrNotMine
	}
	death := Death{TTL: s.set.SessionTTL}
	if death.Deadline, err = parts[1].AsFloat64(); err != nil {
		return nil, death, fmt.Errorf("orphans: deadline: %w", err)
	}
	if death.Now, err = parts[2].AsInt64(); err != nil {
		return nil, death, fmt.Errorf("orphans: clock: %w", err)
	}
	orphans := make([]Orphan, 0, len(parts)-3)
	for _, part := range parts[3:] {
		pending, err := lease.ParsePending(p, part)
		if err != nil {
			return nil, death, fmt.Errorf("orphans: %w", err)
		}
		orphans = append(orphans, s.readable(p, pending))
	}
	return orphans, death, nil
}

// readable parses the entry; one that nobody can read goes back as it is, to whoever reads it next.
func (s *Store) readable(p int, pending lease.PendingEntry) Orphan {
	o := Orphan{PendingEntry: pending}
	if parsed, err := lease.ParseEntry(s.layout, p, pending.ID, pending.Body); err == nil {
		o.Entry, o.Readable = parsed, true
	} else {
		o.Key = s.layout.Keys(p).Lease("")
	}
	return o
}

func (s *Store) giveBack(ctx context.Context, p int, me, dead string, orphans []Orphan, death Death, done *Recovered) error {
	items := make([]lease.Return, len(orphans))
	for i := range orphans {
		items[i] = s.set.Judge(&orphans[i], death, rand.Float64())
	}
	for len(items) > 0 {
		outcomes, err := s.recover(ctx, p, me, dead, items)
		done.Scripts++
		if err != nil {
			return err
		}
		var again []lease.Return
		for i, o := range outcomes {
			switch o.Verdict {
			case lease.Moved, lease.Full:
				done.Entries++
				if items[i].Dest == lease.ToDeadLetters && o.Verdict == lease.Moved {
					done.Dead++
				}
			case lease.Gone:
				done.Gone++
			case lease.TooWide:
				items[i].Dest, items[i].Reason = lease.ToDeadLetters, "too_wide: more fields than can be copied"
				again = append(again, items[i])
			case lease.Refused:
				err = fmt.Errorf("recovering entry %s of %s: %s", items[i].Entry, dead, o.Reason)
			}
		}
		if err != nil {
			return err
		}
		items = again
	}
	return nil
}

func (s *Store) recover(ctx context.Context, p int, me, dead string, items []lease.Return) ([]lease.Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	trim := "0"
	if s.set.DLQTrim {
		trim = "1"
	}
	keys := []string{k.Input, k.Sessions, k.Later, k.Recover(dead)}
	args := []string{dead, s.layout.Group(), strconv.Itoa(len(items)), strconv.Itoa(s.set.DeadLimit()), trim,
		ms(s.set.DLQFullDelay), me, s.mode, ms(claimTime)}
	keys, args, letters := lease.AppendReturns(keys, args, items)
	if letters {
		keys = append(keys, k.DeadLetters)
	}
	result := s.run.Do(ctx, lease.Call{Script: scriptRecover, Keys: keys, Args: args})
	if parts, err := result.ToArray(); err == nil && len(parts) == 1 {
		return nil, ErrNotMine
	}
	return lease.ParseOutcomes(result, len(items))
}

// sweep removes a dead consumer that has nothing pending; left says how much it has, -1 that it is not dead.
func (s *Store) sweep(ctx context.Context, p int, me, dead string) (left int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	n, err := s.run.Do(ctx, lease.Call{
		Script: scriptSweep,
		Keys:   []string{k.Input, k.Sessions, k.Recover(dead)},
		Args:   []string{dead, s.layout.Group(), me},
	}).AsInt64()
	return int(n), err
}
