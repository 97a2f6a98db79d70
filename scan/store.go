package scan

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Settings are the times and limits that a Store passes with its calls.
type Settings struct {
	Config
	SessionTTL time.Duration
	Gap        time.Duration  // since anybody's last beat; beyond it nobody is declared dead, since the server was out of reach
	Settle     bool           // nobody is declared dead while a partition settles after a change of server
	Timeout    time.Duration  // of one round trip
	Page       int            // entries per script
	MaxMove    int            // as in lease.Settings
	Signals    *lease.Signals // likewise

	// Relaxed returns a longer Timeout that applies for now, or 0; it is called before every call. nil: Timeout always applies.
	Relaxed func() time.Duration

	Hook lease.ScriptHook // is called around every script; nil: none
}

// Store finds what dead consumers left and requeues it. Its only state is the client, which entries Redis refused to move, and how
// far checkpoints were gone through.
// It is safe for concurrent use, and every call may be repeated.
type Store struct {
	layout   *cluster.Layout
	set      Settings
	run      *lease.Runner
	mode     string
	setbacks *setbacks
	cursors  *cursors
}

// NewStore returns a store on a client that stays the caller's. observe, which may be nil, is called after each call.
func NewStore(layout *cluster.Layout, set Settings, client rueidis.Client,
	observe func(script string, took time.Duration, err error)) *Store {
	mode := "info"
	if !set.Settle {
		mode = "off"
	}
	return &Store{layout: layout, set: set, run: lease.NewRunner(client, observe).Hooked(set.Hook), mode: mode, setbacks: new(setbacks),
		cursors: new(cursors)}
}

func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout())
}

func (s *Store) timeout() time.Duration {
	if s.set.Relaxed == nil {
		return s.set.Timeout
	}
	return max(s.set.Timeout, s.set.Relaxed())
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// flag is a bool as scripts take it.
func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// Turn claims the turn to scan a partition for this interval. It returns false when another consumer has it.
func (s *Store) Turn(ctx context.Context, p int, me string) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.run.Do(ctx, lease.Call{
		Script: scriptTurn,
		Keys:   []string{s.layout.Keys(p).Scan},
		// A little less than the interval, so that the consumer that had the last turn does not find its own mark.
		Args: []string{me, ms(s.set.Interval * 9 / 10)},
	}).AsInt64()
	return n == 1, err
}

// Dead lists the consumers whose sessions have ended. With adopt it goes through the whole group and gives a session to each
// consumer without one, so that it is dead or known at a later call. Nothing is listed while the partition settles, nor while
// me has no session, or nobody has sent a beat for longer than Settings.Gap.
func (s *Store) Dead(ctx context.Context, p int, me string, adopt bool) ([]string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	parts, err := s.run.Do(ctx, lease.Call{
		Script: scriptPeers,
		Keys:   []string{k.Input, k.Sessions},
		Args:   []string{me, s.layout.Group(), s.mode, ms(s.set.Gap), ms(s.set.SessionTTL), flag(adopt)},
	}).ToArray()
	if err != nil || len(parts) != 2 {
		return nil, err
	}
	return parts[1].AsStrSlice()
}
