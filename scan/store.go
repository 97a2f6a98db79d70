package scan

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Settings are the times and limits that go out with the calls.
type Settings struct {
	Config
	SessionTTL time.Duration
	Gap        time.Duration // since anybody's last beat; beyond it nobody is found dead, since the server was out of reach
	Settle     bool
	Timeout    time.Duration // of one round trip
	Page       int           // entries a script
	MaxMove    int           // as in lease.Settings

	// Relaxed is asked before every call for a Timeout that is longer for now; 0: it is not. nil: it never is.
	Relaxed func() time.Duration
}

// Store finds what dead consumers left and gives it back. It holds no state but the client and which entries Redis refused
// to move, and is safe for concurrent use; every call may be repeated.
type Store struct {
	layout   *cluster.Layout
	set      Settings
	run      *lease.Runner
	mode     string
	setbacks *setbacks
}

// NewStore makes calls on a client that stays the caller's. observe may be nil.
func NewStore(layout *cluster.Layout, set Settings, client rueidis.Client,
	observe func(script string, took time.Duration, err error)) *Store {
	mode := "info"
	if !set.Settle {
		mode = "off"
	}
	return &Store{layout: layout, set: set, run: lease.NewRunner(client, observe), mode: mode, setbacks: new(setbacks)}
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
// session one, so that they are dead or known at a later look. Nothing is listed while the partition settles, nor while
// me has no session or nobody has beaten for longer than Settings.Gap.
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
		Args:   []string{me, s.layout.Group(), s.mode, ms(s.set.Gap), ms(s.set.SessionTTL), flag},
	}).ToArray()
	if err != nil || len(parts) != 2 {
		return nil, err
	}
	return parts[1].AsStrSlice()
}
