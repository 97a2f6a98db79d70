package recovery

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

const crashSession = 600 * time.Millisecond

// dial makes a connection that kills its process as soon as an entry with the deadly text is read from it, as a huge body kills a
// process without the memory for it. Replies of scripts do not kill: recovery does not need bodies.
func (s *spec) dial(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil || s.Deadly == "" {
		return conn, err
	}
	return &deadlyConn{Conn: conn, text: []byte(s.Deadly)}, nil
}

// deadlyConn is a connection on which entries may be read. The client uses others for commands that do not block.
type deadlyConn struct {
	net.Conn
	text  []byte
	reads atomic.Bool // it was used for XREADGROUP
	seen  []byte      // the end of what was read; used only by the goroutine that reads
}

func (c *deadlyConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("XREADGROUP")) {
		c.reads.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *deadlyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen = append(c.seen, p[:n]...)
	if c.reads.Load() && bytes.Contains(c.seen, c.text) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	c.seen = c.seen[max(0, len(c.seen)-len(c.text)):]
	return n, err
}

// TestStreamThatKillsItsOwnersBecomesADeadLetter: every process that owns it, or reads it, dies at once, and drops its other
// streams. The killer ends up in the dead letters, with the reason; the other streams do not.
//
// An entry that killed when it was read was never owned, so it had no crash count, and killed forever. The counts here are those
// reached after some twenty deaths, which saves a minute: the killer lacks two marks, the others have none.
func TestStreamThatKillsItsOwnersBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	const innocents, limit, marked = 15, 6, 21
	for name, how := range map[string]func(*spec){
		"owned": func(s *spec) { s.Killer = stream(innocents) },
		// A blocking read returns one entry, and that kills; read together with others, by a script, it is owned first.
		"read": func(s *spec) { s.Deadly, s.Killer = fmt.Sprintf("%q", stream(innocents)), stream(innocents) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := spec{Name: "n", Session: crashSession, Lease: 2 * crashSession, Pages: 10_000, Recovery: scan.Config{
				Interval: time.Second, MaxCrashes: limit, CrashDelay: 200 * time.Millisecond, MaxCrashDelay: 2 * time.Second,
			}}
			how(&s)
			for i := range innocents + 1 {
				n, crashes := i-1, limit
				if i == 0 { // first, so that a blocking read returns it
					n, crashes = innocents, marked
				}
				h.announced[n] = true
				h.Do("XADD", h.keys.Input, "*", lease.FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":%q}`, stream(n)),
					lease.FieldCrashes, fmt.Sprint(crashes))
			}
			c := h.child(s)
			deaths := 0
			h.until("the killer is a dead letter", func() bool {
				if c.gone() {
					deaths++
					c = h.child(s)
				}
				return h.Num("XLEN", h.keys.DeadLetters) > 0
			})
			t.Logf("%d deaths", deaths)
			h.until("the others are owned undisturbed", func() bool { return c.held() == innocents })
			require.False(t, c.gone())
			letters, err := h.Try("XRANGE", h.keys.DeadLetters, "-", "+").AsXRange()
			require.NoError(t, err)
			require.Len(t, letters, 1)
			letter := letters[0].FieldValues
			require.Contains(t, letter[lease.FieldAnnouncement], fmt.Sprintf("%q", stream(innocents)))
			require.True(t, strings.HasPrefix(letter[lease.FieldReason], "crashes: "), letter[lease.FieldReason])
			require.NotEmpty(t, letter[lease.FieldOriginalID])
			require.Contains(t, letter[lease.FieldLastOwner], "n.")
			require.NotEmpty(t, letter[lease.FieldDeadAt])
			h.checkOwners()
		})
	}
}

// TestProcessThatIsKilledAgainAndAgainLosesNoStream: none of its streams kills it. All of them used to become dead letters.
func TestProcessThatIsKilledAgainAndAgainLosesNoStream(t *testing.T) {
	t.Parallel()
	const streams = 40
	h := newHarness(t)
	s := spec{Name: "n", Session: crashSession, Lease: 2 * crashSession, Pages: 10_000, Recovery: scan.Config{
		Interval: time.Second, MaxCrashes: 1, CrashDelay: 10 * time.Millisecond, MaxCrashDelay: 50 * time.Millisecond,
	}}
	h.add(upTo(streams)...)
	for range 8 {
		c := h.child(s)
		h.until("it owns some", func() bool { return c.held() > 0 })
		c.kill()
	}
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
	c := h.child(s)
	h.ownedBy(streams, c)
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
	counts, err := h.Try("XRANGE", h.keys.Input, "-", "+").AsXRange()
	require.NoError(t, err)
	crashed := 0
	for _, e := range counts {
		if n, _ := strconv.Atoi(e.FieldValues[lease.FieldCrashes]); n > 1 {
			crashed++
		}
	}
	require.NotZero(t, crashed, "some are above the limit, and still handed out")
}

// TestStreamThatOutlivesManyProcessesIsNoDeadLetter: a stream that each owner held long enough gets another one, however many
// processes die while they own it.
func TestStreamThatOutlivesManyProcessesIsNoDeadLetter(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := spec{Name: "n", Session: crashSession, Lease: 2 * crashSession, Pages: 1000, Recovery: scan.Config{
		MaxCrashes: 1, StableAfter: 300 * time.Millisecond, CrashDelay: time.Millisecond, MaxCrashDelay: time.Millisecond,
	}}
	h.add(0)
	for range 5 {
		c := h.child(s)
		h.ownedBy(1, c)
		h.awaitTime(600 * time.Millisecond) // held for at least twice StableAfter, whenever beats come
		c.kill()
	}
	c := h.child(s)
	h.ownedBy(1, c)
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
	entries, err := h.Try("XRANGE", h.keys.Input, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.NotContains(t, entries[0].FieldValues, lease.FieldCrashes)

	// Held for less than StableAfter, it becomes a dead letter after two deaths.
	s.Recovery.StableAfter = time.Hour
	for range 2 {
		c.kill()
		c = h.child(s)
		h.until("it is owned or dead-lettered", func() bool { return c.held() == 1 || h.Num("XLEN", h.keys.DeadLetters) == 1 })
	}
	require.Equal(t, 1, h.Num("XLEN", h.keys.DeadLetters))
}

// TestFailedStreamComesBackAfterItsDelayAnywhere: the delay is kept in Redis, so it holds for every consumer, even when the one
// that failed is gone.
func TestFailedStreamComesBackAfterItsDelayAnywhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const delay = 2 * time.Second
	cause := errors.New("not today")
	var failed int64
	retry := engine.WithRecovery(scan.Config{RetryDelay: delay, MaxRetries: 1})
	a := h.member("a", func(_ *member, n api.Notification) error {
		if n.Kind == api.Added {
			failed = h.Now()
			return cause
		}
		return nil
	}, retry)
	h.add(0)
	h.until("it waits", func() bool { return h.Num("ZCARD", h.keys.Later) == 1 })
	require.NoError(t, a.stop())
	got := make(chan api.Lease, 1)
	at := int64(0)
	b := h.member("b", func(_ *member, n api.Notification) error {
		if n.Kind == api.Added {
			at = h.Now()
			got <- n.Lease
		}
		return nil
	}, retry)
	h.ownedBy(1, b)
	l := <-got
	require.GreaterOrEqual(t, at-failed, delay.Milliseconds()*8/10, "not before its delay minus the jitter")
	require.Equal(t, 1, l.Attempt())
	require.NoError(t, l.Fail(context.Background(), cause))
	letters, err := h.Try("XRANGE", h.keys.DeadLetters, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldReason], cause.Error())
	require.Equal(t, "2", letters[0].FieldValues[lease.FieldRetries])
}

// TestNotBeforeOutlivesTheReader: an announcement that was read before its time is not handed out before it, whatever happens
// to the reader. A copy of the entry does not carry the time, so it used to be handed out at once.
func TestNotBeforeOutlivesTheReader(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	link := h.link()
	// Entries cannot be acquired, so they stay pending for the consumer.
	for _, script := range []string{"acquire", "requeue"} {
		h.refuse(link, script)
	}
	a := h.memberOn(link.ClientOption(), "a", nil, engine.WithSessionTTL(2*time.Second))
	at := h.Now() + time.Hour.Milliseconds()
	h.Do("XADD", h.keys.Input, "*", "lbs-input", `{"DataStreamName":"s-0"}`, "_not_before", fmt.Sprint(at))
	h.until("it is read", func() bool { return h.state().Pending == 1 })
	link.Cut()
	a.drop()
	b := h.member("b", nil)
	h.stateIs(state{Later: 1, Sessions: 1, Consumers: 1})
	due, err := h.Try("ZRANGE", h.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.EqualValues(t, at, due[0].Score)
	require.Zero(t, b.timesAdded("s-0"))
}
