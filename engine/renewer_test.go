package engine

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata, or writes it there.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to write it")
	require.Equal(t, string(want), text, "run the test with -update if this is what it should be")
}

// plot draws a number per second as bars, the longest of which has 50 marks.
func plot(head string, perSecond []int) string {
	var b strings.Builder
	most := 1
	for _, n := range perSecond {
		most = max(most, n)
	}
	fmt.Fprintf(&b, "%s\n\n", head)
	for i, n := range perSecond {
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%3d s %6d  %s", i, n, strings.Repeat("#", n*50/most)), " "))
	}
	return b.String()
}

// Leases that were acquired at one moment are renewed spread over time, none later than an interval and a tick after the
// renewal before, and they stay spread.
func TestRenewalsAreSpread(t *testing.T) {
	for _, n := range []int{1_000, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce(streams(n)...)
				e := h.start(nil, ungated)
				began := time.Now()
				require.Equal(t, n, e.Stats().Held)
				const seconds = 60
				advance(seconds * time.Second)

				longest := e.cfg.interval + e.cfg.wheel.Tick
				perSecond := make([]int, seconds)
				last := make(map[string]time.Time)
				scripts := 0
				for _, c := range e.fake.takeCalls() {
					switch c.op {
					case "acquire":
						for _, entry := range c.entries {
							last[entry] = c.at
						}
					case "renew":
						second := min(int(c.at.Sub(began)/time.Second), seconds-1)
						perSecond[second] += c.n
						scripts += c.batches
						for _, entry := range c.entries {
							require.LessOrEqual(t, c.at.Sub(last[entry]), longest, entry)
							last[entry] = c.at
						}
					}
				}
				require.Len(t, last, n)
				for entry, at := range last {
					require.LessOrEqual(t, time.Since(at), longest, entry)
				}
				// On average a lease is renewed once in 0.95 intervals. After the first interval, no second is off by more than half.
				mean := float64(n) / (0.95 * e.cfg.interval.Seconds())
				for i := 11; i < seconds; i++ {
					require.InDelta(t, mean, perSecond[i], mean/2, "in second %d", i)
				}
				require.Equal(t, n, e.Stats().Held)
				require.Empty(t, e.notified(api.Disowned))
				golden(t, fmt.Sprintf("renewals_%d", n), plot(
					fmt.Sprintf("renewals a second of %d leases that were acquired at once (interval %v, %d scripts in %d s)",
						n, e.cfg.interval, scripts, seconds), perSecond))
			})
		})
	}
}

// An engine that holds nothing beats every cfg.beat, no more, and does nothing else but read, scan and now and then show that
// it is there.
func TestIdleEngineOnlyBeats(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(10 * time.Second)
		e.fake.takeCalls()
		const beats = 60
		advance(beats * e.cfg.beat)
		calls := e.fake.takeCalls()
		for n := range 2 {
			var last time.Time
			seen := 0
			for _, c := range calls {
				if c.op != "beat" || c.partition != n {
					continue
				}
				if seen++; seen > 1 {
					require.Equal(t, e.cfg.beat, c.at.Sub(last).Round(time.Millisecond))
				}
				last = c.at
			}
			require.InDelta(t, beats, seen, 1)
		}
		require.Equal(t, len(calls), countCalls(calls, "beat", "read", "attend", "turn", "dead", "confirm", "wishes"))
		// Reads block for cfg.block.
		require.LessOrEqual(t, countCalls(calls, "read"), 2*(1+int(beats*e.cfg.beat/e.cfg.block)))
	})
}

// Renewals carry the beat: while they are frequent, there is no separate beat, and never a longer gap than a beat.
func TestRenewalsCarryTheBeat(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(1000)...)
		e := h.start(nil)
		advance(20 * time.Second)
		e.fake.takeCalls()
		advance(60 * time.Second)
		calls := e.fake.takeCalls()
		require.Zero(t, countCalls(calls, "beat"))
	})
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(1)...)
		e := h.start(nil)
		advance(20 * time.Second)
		e.fake.takeCalls()
		advance(60 * time.Second)
		var last time.Time
		beats, renewals := 0, 0
		for _, c := range e.fake.takeCalls() {
			if c.op != "beat" && c.op != "renew" {
				continue
			}
			if !last.IsZero() {
				require.LessOrEqual(t, c.at.Sub(last), e.cfg.beat+time.Millisecond)
			}
			last = c.at
			if c.op == "beat" {
				beats++
			} else {
				renewals++
			}
		}
		require.InDelta(t, 6, renewals, 1)
		require.LessOrEqual(t, beats+renewals, 67, "a renewal postpones the next beat")
	})
}

// Nothing is asked of a service before the engine has seen that it is the one that was configured.
//
// Trace: the loop of the renewer began by opening a session in every partition, so a start that went on to fail with
// ErrPartitionMismatch or ErrForeignConsumers had made groups and sessions of a service that was not its own.
func TestNothingIsOpenedBeforeTheServiceIsChecked(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.newEngine()
		e.fake.failOnly(fakeFault{before: 500 * time.Millisecond}, "agree", "legacy")
		e.startRun()
		advance(5 * time.Second)
		var ops []string
		for _, c := range e.fake.takeCalls() {
			ops = append(ops, c.op)
		}
		require.Equal(t, []string{"agree", "legacy", "legacy", "open"}, ops[:4])
	})
}

// While Redis is gone, every lease is disowned at its local deadline: not after it, and at most a tick and a little before it.
// Its context and Remaining show it at once.
func TestLeasesAreDisownedAtTheirDeadline(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fakeFault
	}{{"hangs", faultHang}, {"fails", faultError}, {"refuses", faultOOM}, {"loses answers", faultLose}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 200
				h.server.announce(streams(n)...)
				e := h.start(nil)
				advance(23 * time.Second)
				s := e.session(0)
				type state struct {
					ctx   context.Context
					until time.Time
				}
				states := make(map[string]state)
				session := time.Now().Add(s.Remaining())
				for _, x := range e.notified(api.Added) {
					states[x.Stream] = state{x.Lease.Context(), time.Now().Add(x.Lease.Remaining())}
				}
				require.Len(t, states, n)
				e.fake.failAll(c.fault)
				// The session is shorter than the leases, so all of them last until its deadline.
				advance(time.Until(session) - e.cfg.wheel.Tick - time.Millisecond)
				require.Empty(t, e.notified(api.Disowned))
				require.Equal(t, n, e.Stats().Held)
				advance(e.cfg.wheel.Tick + 2*time.Millisecond)
				require.Len(t, e.notified(api.Disowned), n, "each owner is notified once")
				for _, x := range e.notified(api.Disowned) {
					require.ErrorIs(t, x.Err, api.ErrLeaseLost)
					require.False(t, x.at.After(session.Add(time.Millisecond)))
					require.Zero(t, x.left)
					ctx := states[x.Stream].ctx
					require.Error(t, ctx.Err())
					require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
					select {
					case <-ctx.Done():
					default:
						t.Fatal("the context has not ended")
					}
				}
				advance(2 * time.Minute)
				require.Len(t, e.notified(api.Disowned), n)
				// With Redis back, the engine continues by itself, and all of them come back.
				e.fake.setFault(nil)
				advance(time.Minute)
				require.Equal(t, n, e.Stats().Held)
				require.Len(t, e.notified(api.Added), 2*n)
			})
		})
	}
}

// A lease that is not renewed ends at its own deadline, though its session goes on.
func TestUnrenewedLeaseIsDisownedAtItsOwnDeadline(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 100
		h.server.announce(streams(n)...)
		e := h.start(nil, WithLeaseTTL(12*time.Second), WithSessionTTL(10*time.Second))
		advance(10 * time.Second)
		// As while a slot migrates: the session's key is there, those of the leases are not.
		e.fake.setFault(func(c *fakeCall) fakeFault {
			switch c.op {
			case "renew":
				return fakeFault{skip: true, err: errorReply("TRYAGAIN Multiple keys request during rehashing of slot")}
			case "extend":
				return faultError
			}
			return fakeFault{}
		})
		// The session's deadline stays far ahead, so what is left near the end is the lease's own time.
		until := make(map[api.Token]time.Time)
		for began := time.Now(); len(e.notified(api.Disowned)) < n && time.Since(began) < time.Minute; advance(10 * time.Millisecond) {
			for _, x := range e.notified(api.Added) {
				if left := x.Lease.Remaining(); left > 0 {
					until[x.Token] = time.Now().Add(left)
				}
			}
		}
		require.Len(t, e.notified(api.Disowned), n)
		for _, x := range e.notified(api.Disowned) {
			require.ErrorIs(t, x.Err, errLeasePast)
			require.Zero(t, x.left)
			require.False(t, x.at.After(until[x.Token]), "%v late", x.at.Sub(until[x.Token]))
			require.False(t, x.at.Before(until[x.Token].Add(-2*e.cfg.wheel.Tick)), "%v early", until[x.Token].Sub(x.at))
		}
		require.NotContains(t, e.events(), api.EventSessionLost)
		e.fake.setFault(nil)
		advance(time.Minute)
		require.Equal(t, n, e.Stats().Held, "requeued, they come back under new tokens")
	})
}

// Renewals that fail for a while, and then succeed in time, lose nothing.
func TestRenewalsThatFailForAWhileLoseNothing(t *testing.T) {
	for name, fault := range map[string]fakeFault{"errors": faultError, "refusals": faultOOM, "lost answers": faultLose, "no answers": faultHang} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 2000
				h.server.announce(streams(n)...)
				e := h.start(nil)
				for range 5 {
					advance(15 * time.Second)
					e.fake.failAll(fault)
					advance(6 * time.Second)
					e.fake.setFault(nil)
				}
				advance(time.Minute)
				require.Equal(t, n, e.Stats().Held)
				require.Empty(t, e.notified(api.Disowned))
				require.Len(t, e.notified(api.Added), n)
				require.Contains(t, e.events(), api.EventRedisReachable)
			})
		})
	}
}

// An answer that comes after the local deadline revives nothing, though the server has extended the lease.
func TestAnswerAfterTheDeadlineRevivesNothing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		// The longest timeout possible: an answer can be in flight for nearly as long as the session lasts.
		e := h.start(nil, WithPipeline(lease.Pipeline{Timeout: 7 * time.Second}))
		advance(5 * time.Second)
		l, s := e.held("s"), e.session(0)
		left := s.Remaining()
		ctx := l.Context()
		e.fake.failOnly(fakeFault{after: 4 * time.Second}, "beat", "renew")
		// Slow answers that come in time are as good as fast ones.
		advance(left + 10*time.Second)
		require.Positive(t, l.Remaining())
		require.NoError(t, ctx.Err())

		// Now they come too late.
		e.fake.failOnly(fakeFault{after: 6900 * time.Millisecond}, "beat", "renew")
		for began := time.Now(); l.Remaining() > 0; advance(100 * time.Millisecond) {
			require.Less(t, time.Since(began), time.Minute)
		}
		require.LessOrEqual(t, s.Remaining(), e.cfg.wheel.Tick, "an owner may be notified up to a tick early")
		require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
		e.fake.setFault(nil)
		advance(30 * time.Second)
		require.Zero(t, l.Remaining())
		require.Zero(t, s.Remaining())
		require.NotEqual(t, s.Consumer(), e.session(0).Consumer())
		again := e.held("s")
		require.NotSame(t, l, again)
		require.Greater(t, again.Token(), l.Token())
		// Disowned a tick before its session is over, the stream may have been acquired once more for that tick.
		require.Regexp(t, "^Added( Disowned Added){1,2}$", e.kinds("s"))
	})
}

// A session that has less time left than the last answer took is saved by the next call, however many leases are due, all of
// which are late, too. Large renewals come after a beat, small ones carry one.
//
// Trace: with more leases than the renewer examined at a time, it went round in circles among them until the session was over,
// and sent nothing at all, not even a beat.
func TestSessionCloseToItsDeadlineIsSaved(t *testing.T) {
	for _, large := range []bool{false, true} {
		t.Run(fmt.Sprintf("large=%v", large), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 300
				names, op := streams(n), "renew"
				if large {
					names, op = h.large(0, n), "beat"
				}
				h.server.announce(names...)
				e := h.start(nil, WithPipeline(lease.Pipeline{MaxBatch: 1})) // 16 leases per wave, of 64 that are examined
				advance(5 * time.Second)
				require.Equal(t, n, e.Stats().Held)
				s := e.session(0)
				e.fake.failOnly(faultError, "beat", "renew")
				advance(s.Remaining() - e.cfg.timeout/2)
				require.Equal(t, n, e.Stats().Held)
				// Most are due by now, many at a time, and nothing is in flight. The last answer before the outage took long.
				e.renewer.mu.Lock() // which the loop has before it has anything sent
				e.renewer.waves[0].latency = e.cfg.timeout
				e.renewer.mu.Unlock()
				e.fake.setFault(nil)
				e.fake.takeCalls()
				advance(e.cfg.retry + e.cfg.wheel.Tick)
				calls := slices.DeleteFunc(e.fake.takeCalls(), func(c fakeCall) bool { return c.op != "beat" && c.op != "renew" })
				require.NotEmpty(t, calls)
				require.Equal(t, op, calls[0].op)
				require.Greater(t, s.Remaining(), e.cfg.timeout)
				advance(time.Minute)
				require.Same(t, s, e.session(0))
				require.Equal(t, n, e.Stats().Held)
				require.Empty(t, e.notified(api.Disowned))
			})
		})
	}
}
