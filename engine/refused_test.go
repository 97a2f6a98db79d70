package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/lease"
)

const (
	tooMany = "ERR user_script:90: too many results to unpack"
	full    = "OOM command not allowed when used memory > 'maxmemory'."
)

// Trace: a service of one process. Its session is lost with an entry pending that Redis refuses to move: retiring the session
// started over from its first page, forever. When the session was lost a second time, that one was never retired, and good
// announcements stayed pending for nobody, while Ready returned nil.
func TestRefusedEntryDoesNotBlockTheRetirementOfSessions(t *testing.T) {
	for name, why := range map[string]string{"its own fault": tooMany, "the server's": full} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("bad", "good")
				e := h.start(nil)
				advance(time.Second)
				bad := e.held("bad").Entry()
				h.server.refuseMoves(why, true, func(id string) bool { return id == bad })
				for range 2 {
					e.endSession(0)
					advance(10 * time.Second)
					require.NoError(t, e.Ready(context.Background()))
					require.Positive(t, e.held("good").Remaining(), "it is owned again")
				}
				_, pending, _, _ := h.server.count()
				require.Equal(t, 2, pending)
				require.Equal(t, 1, e.completer.Retiring(), "the second one was retired")

				e.fake.takeCalls()
				advance(5 * time.Minute)
				calls := e.fake.takeCalls()
				most := 60
				if why == full {
					most = 600 // retried like everything that a server in such a state refuses
				}
				require.LessOrEqual(t, len(callTimes(calls, "requeue", bad)), most)
				require.Less(t, countCalls(calls, "pending", "close"), 3*most)
				require.Equal(t, []int{0, 2, 0, 0}, h.server.counts(), "it is not lost")
				require.Contains(t, e.logged(), bad)

				h.server.refuseNothing()
				advance(time.Minute)
				require.Zero(t, e.completer.Retiring())
				_, pending, _, _ = h.server.count()
				if why == full {
					require.Equal(t, 2, pending, "both are owned")
					require.Positive(t, e.held("bad").Remaining())
				} else {
					require.Equal(t, 1, pending, "the engine gave up on it, and now a dead letter refers to it")
				}
			})
		})
	}
}

// In the middle of a page, at the end of one, and in a later page: everything around the refused entry is requeued at once,
// and a dead letter refers to it.
func TestRetiringSkipsARefusedEntry(t *testing.T) {
	for _, at := range []int{0, 3, 7, 12, 19} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce(streams(20)...)
			e := h.start(nil, WithPipeline(lease.Pipeline{MaxBatch: 16})) // pages of 8
			advance(5 * time.Second)
			bad := e.held(streams(20)[at]).Entry()
			h.server.refuseMoves(tooMany, false, func(id string) bool { return id == bad })
			e.fake.takeCalls()
			e.endSession(0)
			advance(20 * time.Second)
			require.Equal(t, 19, e.Stats().Held)
			require.Zero(t, e.completer.Retiring())
			require.Len(t, callTimes(e.fake.takeCalls(), "requeue", bad), lease.MoveTries+1)
			h.server.with(0, func(p *fakePartition) {
				require.Len(t, p.dead, 1)
				require.Equal(t, bad, p.dead[0].id)
				require.Contains(t, p.dead[0].body[1].Value, "refused: "+tooMany)
			})
		})
	}
}

// A refused entry is retried less and less often.
func TestRefusedEntriesAreRetriedWithBackoff(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		h.server.refuseMoves(tooMany, true, func(string) bool { return true })
		e.fake.takeCalls()
		go func() { _ = l.Release(context.Background()) }()
		advance(3 * time.Minute)
		at := callTimes(e.fake.takeCalls(), "requeue", l.Entry())
		require.Greater(t, len(at), 12)
		require.Less(t, len(at), 40)
		for i, t1 := range at[1:] {
			gap := t1.Sub(at[i])
			require.LessOrEqual(t, gap, completion.RefusedMost+time.Second)
			if i > lease.MoveTries+8 {
				require.Greater(t, gap, completion.RefusedMost/3)
			}
		}
		require.NotNil(t, h.server.leaseOf("s"), "it is renewed until the result of its ending is known")
	})
}

// Trace: a batch of endings contained one that the script could not take; Done of all others never returned.
func TestEndingThatFailsItsBatchDelaysNoOther(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(300)...)
		e := h.start(nil)
		advance(5 * time.Second)
		bad := e.held(streams(300)[117]).Entry()
		e.fake.failEntry(fakeFault{skip: true, err: errorReply(tooMany)}, bad, "requeue", "done")
		began := time.Now()
		done := make(chan error, 300)
		for l := range e.Leases() {
			go func() { done <- l.Done(context.Background()) }()
		}
		for range 299 {
			require.NoError(t, <-done)
		}
		require.Less(t, time.Since(began), time.Second)
		advance(time.Minute)
		require.Empty(t, done)
		h.server.with(0, func(p *fakePartition) { require.Empty(t, p.dead, "a done announcement never becomes a dead letter") })
		e.fake.setFault(nil)
		require.NoError(t, <-done)
	})
}

// The same with what is released, and with scripts that are not answered while they carry it.
func TestReleaseThatFailsItsBatchDelaysNoOther(t *testing.T) {
	for name, fault := range map[string]fakeFault{"refused": {skip: true, err: errorReply(tooMany)}, "no answer": faultHang} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce(streams(300)...)
				e := h.start(nil)
				advance(5 * time.Second)
				bad := e.held(streams(300)[117]).Entry()
				e.fake.failEntry(fault, bad, "requeue")
				var ended atomic.Int32
				for _, s := range streams(300) {
					l := e.held(s)
					go func() {
						if err := l.Release(context.Background()); err == nil {
							ended.Add(1)
						}
					}()
				}
				advance(time.Minute)
				require.EqualValues(t, 299, ended.Load())
				h.server.with(0, func(p *fakePartition) {
					require.Empty(t, p.dead, "an unanswered call says nothing about an entry")
				})
				e.fake.setFault(nil)
				advance(time.Minute)
				require.EqualValues(t, 300, ended.Load())
			})
		})
	}
}

// Trace: an ordinary drain, with an entry that Redis refused to move, handed back nothing.
func TestRefusedEntryDoesNotBlockTheDrain(t *testing.T) {
	for _, c := range []struct {
		name       string
		why        string
		references bool
	}{
		{"it becomes a dead letter", tooMany, false}, {"not even that", tooMany, true}, {"the server's fault", full, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				h.server.announce(streams(100)...)
				h.server.announce(streams(100)[:10]...) // parked
				e := h.start(nil, WithDrainTimeout(8*time.Second))
				advance(5 * time.Second)
				bad := e.held(streams(100)[42]).Entry()
				h.server.refuseMoves(c.why, c.references, func(id string) bool { return id == bad })
				began := time.Now()
				shutdown, _ := e.shutdownAndWait()
				require.LessOrEqual(t, time.Since(began), 8*time.Second)
				undelivered, pending, _, dead := h.server.count()
				closed := 0
				for p := range 2 {
					h.server.with(p, func(p *fakePartition) {
						for _, until := range p.sessions {
							if until == 0 {
								closed++
							} else {
								t.Error("a session is open")
							}
						}
					})
				}
				if c.references {
					require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
					require.Equal(t, []int{109, 1, 0}, []int{undelivered, pending, dead})
					require.Equal(t, 1, closed, "others may recover it at once")
					return
				}
				require.NoError(t, shutdown)
				require.Equal(t, []int{0, 1}, []int{pending, dead})
				require.Zero(t, closed)
			})
		})
	}
}

// Trace: XADD svc-input * _reason x, and every way in which an unreadable entry can be requeued: after a lost session, and
// where there is no more room for what was read. It was requeued as it was, from process to process.
func TestUnreadableEntriesAreDeadLetteredOnEveryWayBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		e.fake.failOnly(faultError, "requeue", "acquire") // nothing is decided before the session ends
		for _, body := range [][]string{{"_reason", "x"}, {lease.FieldAnnouncement, "{"}, {"mine", "x"}} {
			h.server.add(0, fakeBody("", body...)[1:])
		}
		h.server.announce("good")
		advance(2 * time.Second)
		e.endSession(0)
		advance(2 * time.Second)
		e.fake.setFault(nil)
		advance(20 * time.Second)
		require.Equal(t, 1, e.Stats().Held)
		_, pending, _, dead := h.server.count()
		require.Equal(t, []int{1, 3}, []int{pending, dead})
		h.server.with(0, func(p *fakePartition) {
			for _, x := range p.dead {
				last := x.body[len(x.body)-1]
				require.True(t, strings.HasPrefix(last.Value, "malformed: "), last.Value)
			}
		})
	})
}

// Whoever requeues an unreadable entry, and wherever to: there was no room for it, or it was found among the pending ones.
func TestRequeuedUnreadableEntryIsDeadLettered(t *testing.T) {
	for _, dest := range []lease.Dest{lease.ToInput, lease.ToLater, lease.ToDeadLetters} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			e := h.start(nil)
			advance(time.Second)
			h.server.with(0, func(p *fakePartition) { p.delivered++ }) // so that nobody reads it
			id := h.server.addMalformed(0)
			consumer := e.session(0).Consumer()
			h.server.with(0, func(p *fakePartition) {
				p.pending[id] = &fakePending{entry: p.input[0], consumer: consumer, since: nowMilli(), deliveries: 1}
			})
			x := lease.Entry{ID: id, Body: malformedBody()}
			e.completer.Requeue(consumer, &x, completion.Target{Dest: dest, Delay: time.Minute, Reason: "malformed: says its reader"})
			advance(time.Second)
			require.Equal(t, []int{0, 0, 0, 1}, h.server.counts())
		})
	}
}

// Trace: 300 announcements of 1 MiB that had been read were requeued in one script.
func TestRequeueBatchesAreBoundedByWeight(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		e.fake.takeCalls()
		for i := range 20 {
			x := lease.Entry{ID: fmt.Sprintf("1-%d", i+1), Stream: "s", Key: "k", Size: lease.MaxCallWeight/3 + 1}
			e.completer.Requeue("host.1", &x, completion.Target{})
		}
		advance(time.Second)
		calls := e.fake.takeCalls()
		require.Equal(t, 10, countCalls(calls, "requeue"))
		for _, c := range calls {
			if c.op == "requeue" {
				require.Equal(t, 2, c.n)
			}
		}
	})
}
