package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"

// Trace: entries of 60 KB arrive that become dead letters, while Redis refuses those (the key is of another type), or does not
// answer. Each completion kept its whole entry, and none was counted: 353 MiB with a limit of 8.
func TestMemoryHeldByCompletionsIsBounded(t *testing.T) {
	malformed := []rueidis.XRangeFieldValue{{Field: "x", Value: strings.Repeat("x", 60<<10)}}
	for _, c := range []struct {
		name  string
		hangs bool
		n     int
		entry func(i int) []rueidis.XRangeFieldValue
	}{
		{"malformed and refused", false, 6000, func(int) []rueidis.XRangeFieldValue { return malformed }},
		{"malformed, no answer", true, 6000, func(int) []rueidis.XRangeFieldValue { return malformed }},
		{"too large and refused", false, 150, func(i int) []rueidis.XRangeFieldValue { return bulky(fmt.Sprint("s", i), 60<<10) }},
		{"too large, no answer", true, 150, func(i int) []rueidis.XRangeFieldValue { return bulky(fmt.Sprint("s", i), 60<<10) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				e := h.start(nil, WithReadMemory(MinReadMemory), WithLimits(Limits{MaxInfo: 10_000}))
				if c.hangs {
					e.fake.failOnly(faultHang, "requeue")
				} else {
					h.server.refuseMoves(wrongType, true, func(string) bool { return true })
				}
				for i := range c.n {
					h.server.add(0, c.entry(i))
				}
				advance(time.Minute)
				require.Greater(t, e.completer.Len(), c.n/20)
				require.Less(t, e.completer.Len(), c.n)
				require.LessOrEqual(t, e.unplaced(), MinReadMemory/2+2<<20, "and what was read last, all of which is being completed now")
				require.Equal(t, IntakeClogged, e.Stats().Intake)
				home := h.streamIn(1, 0)
				h.server.announce(home)
				advance(10 * time.Second)
				e.held(home)

				h.server.refuseNothing()
				e.fake.setFault(nil)
				advance(3 * time.Minute)
				require.Equal(t, []int{0, 1, 0, c.n}, h.server.counts(), "nothing is lost")
				require.Zero(t, e.unplaced())
				require.Equal(t, IntakeOpen, e.Stats().Intake)
			})
		})
	}
}

// Refused completions are retried in few calls.
//
// Trace: each was retried by itself, and each of these calls went through all of them.
func TestRefusedCompletionsAreRetriedInBatches(t *testing.T) {
	for name, why := range map[string]string{"permanently": wrongType, "for the state of the server": full} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 3000
				e := h.start(nil)
				h.server.refuseMoves(why, true, func(string) bool { return true })
				for range n {
					h.server.addMalformed(0)
				}
				advance(time.Minute)
				e.fake.takeCalls()
				advance(time.Minute)
				calls := e.fake.takeCalls()
				retried := sumCalls(calls, "requeue")
				require.GreaterOrEqual(t, retried, n, "all are retried")
				require.LessOrEqual(t, countCalls(calls, "requeue"), retried/50)
			})
		})
	}
}

// Thousands of entries that nobody owns are refused, by calls that take long. An ending waits for at most one of these calls.
func TestEndingsDoNotWaitBehindRefusedUnownedEntries(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(40)...)
		e := h.start(nil)
		advance(5 * time.Second)
		good := make(map[string]bool)
		for l := range e.Leases() {
			good[l.Entry()] = true
		}
		h.server.refuseMoves(wrongType, true, func(id string) bool { return !good[id] })
		for range 4000 {
			h.server.addMalformed(0)
		}
		advance(time.Minute)
		const slow = 100 * time.Millisecond
		e.fake.failOnly(fakeFault{before: slow}, "requeue", "done")
		advance(time.Minute)
		for i, l := range slices.Collect(e.Leases()) {
			began := time.Now()
			if i%2 == 0 {
				require.NoError(t, l.Done(context.Background()))
			} else {
				require.NoError(t, l.Release(context.Background()))
			}
			require.LessOrEqual(t, time.Since(began), 2*slow+10*time.Millisecond)
			advance(37 * time.Millisecond)
		}
	})
}

// An ending that was refused itself is not retried behind them either.
func TestRefusedEndingsAreRetriedBeforeRefusedUnownedEntries(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		h.server.refuseMoves(full, true, func(string) bool { return true })
		for range 4000 {
			h.server.addMalformed(0)
		}
		advance(time.Minute)
		const slow = 100 * time.Millisecond
		e.fake.failOnly(fakeFault{before: slow}, "requeue")
		released := make(chan error, 1)
		go func() { released <- l.Release(context.Background()) }()
		advance(time.Minute)
		require.Empty(t, released)
		h.server.refuseMoves(full, true, func(id string) bool { return id != l.Entry() })
		began := time.Now()
		require.NoError(t, <-released)
		require.LessOrEqual(t, time.Since(began), e.cfg.beat+3*slow)
	})
}

// Trace: the user may do anything but write the dead letters, and an announcement is malformed. A script that is given a key
// without the right to it is refused as a whole, so the same batch was retried forever, and everything that came after it with
// it.
func TestMissingRightToTheDeadLettersDelaysNoOtherEntry(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		e := h.start(nil)
		advance(5 * time.Second)
		var bad []string
		e.fake.failWhen(fakeFault{skip: true, err: errorReply("NOPERM No permissions to access a key")}, func(c *fakeCall) bool {
			return c.op == "requeue" && slices.ContainsFunc(c.entries, func(id string) bool { return slices.Contains(bad, id) })
		})
		for range 10 {
			bad = append(bad, h.server.addMalformed(0))
		}
		all := slices.Collect(e.Leases())
		released := make(chan error, len(all))
		for _, l := range all {
			go func() { released <- l.Release(context.Background()) }()
		}
		advance(20 * time.Second)
		require.Len(t, released, len(all))
		for range all {
			require.NoError(t, <-released)
		}
		h.server.announce("late")
		advance(10 * time.Second)
		e.held("late")
		e.endSession(0) // everything pending is requeued, but for these
		advance(20 * time.Second)
		e.held("late")
		require.Equal(t, len(all)+1, e.Stats().Held)
		undelivered, pending, _, dead := h.server.count()
		require.Equal(t, []int{0, len(all) + 1 + len(bad), 0}, []int{undelivered, pending, dead})
		e.fake.setFault(nil)
		advance(20 * time.Second)
		_, _, _, dead = h.server.count()
		require.Equal(t, len(bad), dead)
	})
}

// The same on a real server, and with a key of another type in place of the dead letters.
func TestUnwritableDeadLettersDelayNoOwner(t *testing.T) {
	for _, missing := range []string{"right", "type"} {
		t.Run(missing, func(t *testing.T) {
			const malformed = 600
			server := servers.New(t)
			admin := server.Client(t)
			do := func(args ...string) {
				t.Helper()
				require.NoError(t, admin.Do(context.Background(), admin.B().Arbitrary(args...).Build()).Error(), "%q", args)
			}
			opt := server.ClientOption()
			if missing == "right" {
				opt.Username = "app"
				do("ACL", "SETUSER", "app", "on", "nopass", "&*", "+@all", "~orders-input", "~{orders-input}:*")
			}
			l := startLiveWith(t, server, opt, nil, WithReadBatch(50), WithSessionTTL(MaxTTL), WithLeaseTTL(MaxTTL))
			k := l.layout.Keys(0)
			if missing == "type" {
				do("SET", k.DeadLetters, "x")
			}
			for n := range 20 {
				l.announce("s" + strconv.Itoa(n))
			}
			l.until("all are held", func() bool { return l.Stats().Held == 20 })
			for range malformed {
				l.do("XADD", k.Input, "*", "mine", "x")
			}
			l.until("nothing more is read", func() bool { return l.completer.Clogged(0) })
			for n := range 20 {
				x, held := l.Lease("s" + strconv.Itoa(n))
				require.True(t, held)
				require.NoError(t, x.Done(context.Background()))
			}
			if missing == "right" {
				do("ACL", "SETUSER", "app", "~"+k.DeadLetters)
			} else {
				do("DEL", k.DeadLetters)
			}
			l.until("all are dead letters", func() bool { return l.num("XLEN", k.DeadLetters) == malformed })
			l.until("nothing is pending", func() bool { return l.completer.Len() == 0 })
			require.Zero(t, l.num("XLEN", k.Input))
		})
	}
}
