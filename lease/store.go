package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Settings are the times and limits that are sent with the calls. All are set; the engine derives and validates them.
type Settings struct {
	LeaseTTL   time.Duration // of a lease key
	SessionTTL time.Duration // of a session
	Reach      time.Duration // the greatest TTL that a session may come to have; 0: SessionTTL
	Gap        time.Duration // a longer gap in everybody's beats is added to the deadlines of the living
	Settle     bool          // wait after a change of server
	Timeout    time.Duration // of one round trip
	DeadLimit  int           // entries in the dead-letter stream, 0: no limit
	DeadTrim   bool          // at the limit, drop the oldest dead letters instead of refusing new ones
	DeadDelay  time.Duration // of entries that the dead-letter stream refused
	Limits     Limits        // longer announcements are cut; unlike elsewhere, zeros mean the defaults

	// MaxMove is the greatest weight of an entry that is copied, in bytes and FieldWeight for each field; a heavier one is
	// dead-lettered by reference. 0: DefaultMaxMove. Negative: no limit.
	MaxMove int

	// Signals is from where on beats look for signals; the stores of a process share it. nil: none are looked for, nor sent.
	Signals *Signals

	// Balance is what calls report about this process, and whom they tell about the others; likewise. nil: nothing is reported.
	Balance *Balance

	// Relaxed is called before every call; it returns a longer Timeout for the time being, or 0. nil: Timeout always applies.
	Relaxed func() time.Duration

	// Hook is called around every script but those that are sent as renewals are: open, beat, renew, extend, verify. nil: none.
	Hook ScriptHook
}

// Terms are TTLs of calls that differ from the Settings. Zero fields: as in the Settings.
type Terms struct {
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Reach      time.Duration
	Timeout    time.Duration // whatever Relaxed says
}

// Store makes this process's calls to Redis: one attempt a call, bounded by Settings.Timeout; the engine decides what to retry
// and when. Every call may be repeated. It holds no state but the clients, and is safe for concurrent use.
type Store struct {
	layout *cluster.Layout
	set    Settings
	renew  *Runner // beats and renewals only, so that nothing else can delay them
	rest   *Runner
	client rueidis.Client // the client of rest, for plain commands
	mode   string
	ttl    string // of sessions
	record string // their TTLs on record, "<usual>:<reach>"
	gap    string
	lease  string // TTL of leases
}

// NewStore returns a store that makes calls on two clients, which may be the same one and stay the caller's. observe may be nil.
func NewStore(layout *cluster.Layout, set Settings, renewal, rest rueidis.Client,
	observe func(script string, took time.Duration, err error)) *Store {
	mode := "info"
	if !set.Settle {
		mode = "off"
	}
	return &Store{
		layout: layout,
		set:    set,
		renew:  NewRunner(renewal, observe),
		rest:   NewRunner(rest, observe).Hooked(set.Hook),
		client: rest,
		mode:   mode,
		ttl:    ms(set.SessionTTL),
		record: record(set.SessionTTL, set.Reach),
		gap:    ms(set.Gap),
		lease:  ms(set.LeaseTTL),
	}
}

// With returns a store whose calls go out on other terms. It shares everything else, and costs one small allocation.
func (s *Store) With(t Terms) *Store {
	other := *s
	if t.SessionTTL != 0 {
		other.ttl = ms(t.SessionTTL)
	}
	if t.LeaseTTL != 0 {
		other.lease = ms(t.LeaseTTL)
	}
	if t.Reach != 0 {
		other.record = record(s.set.SessionTTL, t.Reach)
	}
	if t.Timeout != 0 {
		other.set.Timeout, other.set.Relaxed = t.Timeout, nil
	}
	return &other
}

func record(usual, reach time.Duration) string { return ms(usual) + ":" + ms(max(usual, reach)) }

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout())
}

func (s *Store) timeout() time.Duration {
	if s.set.Relaxed == nil {
		return s.set.Timeout
	}
	return max(s.set.Timeout, s.set.Relaxed())
}

// Status is the state of a session after a call.
type Status uint8

const (
	SessionLost   Status = iota // past its deadline or closed; also for an unknown answer
	SessionLive                 // extended
	SessionMade                 // had vanished and was made again: look for what else has vanished
	SessionAbsent               // not there; beat first
	SessionWait                 // there, but the partition settles
)

func parseStatus(text string) Status {
	switch text {
	case "ok":
		return SessionLive
	case "made":
		return SessionMade
	case "absent":
		return SessionAbsent
	case "wait":
		return SessionWait
	}
	return SessionLost
}

// Beat is the answer to a beat, whichever script carried it.
type Beat struct {
	Status   Status
	Dead     int           // sessions past their deadline
	Due      int           // entries of later that are due; -1: not looked at
	Next     time.Duration // until the next entry of later is due, if none is; 0: none will be within LookAhead
	Server   string        // changes with every failover and restart; empty when settling is off
	Settling bool

	// Time is the server's clock when it answered, µs since the epoch.
	Time int64

	// Firm is the longest that a session may be believed in from when the beat was sent, however long its TTL: a server that
	// takes over settles for no less. 0: not known.
	Firm time.Duration

	// Signal is the ID of the first signal after the position of Settings.Signals; empty: there is none, or none was looked for.
	Signal string
	// SignalsFrom is a position before whatever comes after this beat, for a process that had none; empty: it had one.
	SignalsFrom string
	SignalsErr  error // why signals cannot be looked for; nil: they can, or were left out
}

// beatParts is the number of parts of an answer that a beat takes up.
const beatParts = 10

func parseBeat(parts []rueidis.RedisMessage) (Beat, error) {
	if len(parts) < beatParts {
		return Beat{}, fmt.Errorf("beat: answer of %d parts", len(parts))
	}
	status, err := parts[0].ToString()
	if err != nil {
		return Beat{}, fmt.Errorf("beat: status: %w", err)
	}
	dead, err1 := parts[1].AsInt64()
	due, err2 := parts[2].AsInt64()
	server, err3 := parts[3].ToString()
	settling, err4 := parts[4].AsInt64()
	firm, err5 := parts[5].AsInt64()
	next, err6 := parts[6].AsInt64()
	micros, err7 := parts[7].ToInt64()
	signal, err8 := parts[8].ToString()
	for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
		if err != nil {
			return Beat{}, fmt.Errorf("beat: %w", err)
		}
	}
	b := Beat{Status: parseStatus(status), Dead: int(dead), Due: int(due), Server: server, Settling: settling == 1,
		Firm: time.Duration(firm) * time.Millisecond, Next: time.Duration(next) * time.Millisecond, Time: micros}
	b.parseSignalPart(signal)
	return b, nil
}

// parseSignalPart reads what a beat says about signals.
func (b *Beat) parseSignalPart(text string) {
	switch {
	case strings.HasPrefix(text, "@"):
		b.SignalsFrom = text[1:]
	case strings.HasPrefix(text, "!"):
		b.SignalsErr = refusedItem(text[1:])
	default:
		b.Signal = text
	}
}

// beatFor returns the answer to a beat of a partition, and passes on what it says about the fleet.
func (s *Store) beatFor(p int, result rueidis.RedisResult) (Beat, error) {
	parts, err := result.ToArray()
	if err != nil {
		return Beat{}, err
	}
	b, err := parseBeat(parts)
	if err == nil {
		s.set.Balance.take(p, &parts[beatParts-1])
	}
	return b, err
}

// Open makes the group, the consumer and its session in a partition, or keeps them. floor is the greatest token known.
func (s *Store) Open(ctx context.Context, p int, consumer string, floor api.Token) (Beat, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	call := Call{
		Script: scriptOpen,
		Keys:   []string{k.Input, k.Sessions, k.Token, k.Later, k.Lease("")},
		Args:   []string{consumer, s.ttl, s.record, s.gap, s.mode, floor.String(), s.layout.Group()},
	}
	call.Args = append(call.Args, s.set.Balance.report(p)...)
	return s.beatFor(p, s.renew.doWith(ctx, p, []Call{call}, s.set.Balance.crashesOf(consumer), s.set.Balance.extra())[0])
}

// Beat extends a session. With alone set it touches only the session set, for a slot that migrates.
func (s *Store) Beat(ctx context.Context, p int, consumer string, alone bool) (Beat, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	call := Call{
		Script: scriptBeat, Keys: []string{k.Sessions, k.Later},
		Args: []string{consumer, s.ttl, s.record, s.gap, s.mode, s.set.Signals.Position(p)},
	}
	if alone {
		call.Keys = call.Keys[:1]
		return s.beatFor(p, s.renew.Do(ctx, call))
	}
	call.Args = append(call.Args, s.set.Balance.report(p)...)
	return s.beatFor(p, s.renew.doWith(ctx, p, []Call{call}, s.set.Balance.extra(), s.set.Signals.extra())[0])
}

// Close ends a session and removes its consumer if nothing is pending for it; left is how many entries are.
func (s *Store) Close(ctx context.Context, p int, consumer string) (left int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	n, err := s.rest.Do(ctx, Call{
		Script: scriptClose, Keys: []string{k.Input, k.Sessions}, Args: []string{consumer, s.layout.Group()},
	}).AsInt64()
	if err == nil && n == 0 {
		s.rest.Do(ctx, Call{Script: scriptForget, Keys: []string{k.Checkpoints}, Args: []string{consumer}})
	}
	if err == nil {
		_ = s.Leave(ctx, p, consumer)
	}
	return int(n), err
}

// Leave takes a consumer whose session is over out of the fleet, so that the others share what it held. Without it they do when the
// partition is scanned. If its process has crashed, that is counted, for ten minutes: see Fleet.Crashes.
func (s *Store) Leave(ctx context.Context, p int, consumer string) error {
	if s.set.Balance.extra().isLeftOut(p) {
		return nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	call := Call{
		Script: scriptLeave, Keys: []string{k.Sessions, k.Books, k.Load, k.Fleet}, Args: []string{consumer, ms(crashKept)},
	}
	return s.rest.doWith(ctx, p, []Call{call}, s.set.Balance.crashesOf(consumer))[0].Error()
}

func orMalformed(script string, err error) error {
	if err == nil {
		err = fmt.Errorf("%s: malformed answer", script)
	}
	return err
}
