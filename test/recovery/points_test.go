package recovery

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
)

// notCalled are the scripts that engines do not run by themselves, or not in this test. The tests of their callers cover what
// happens when these die.
var notCalled = map[string]bool{
	"layout": true, "letters": true, "sendback": true, "drop": true, "backlog": true, "stranded": true, "reannounce": true,
	"delayed": true, "hasten": true, "cancel": true,
	"owner": true, "consumers": true, "holdings": true, "leases": true, "requeueorphan": true, "fleet": true,
	"newest": true, "entriesof": true, "checkpointof": true, "settling": true, "taken": true,

	// Deleting and repartitioning a service.
	"census": true, "keys": true, "stop": true, "start": true, "page": true, "laterpage": true, "claim": true, "moved": true, "unlink": true, "raise": true,

	// The first two with several partitions only; the last one once in half a minute, and it moves nothing.
	"copy": true, "whole": true, "attend": true,

	// After manual changes to entries that an owner has, which are stranded or lost if the owner dies before it repairs them.
	"keep": true, "restore": true,

	// With a lock file only: TestProcessThatIsKilledWhileItStarts.
	"endruns": true,

	// It adds up what consumers have on record, in one step, and nothing is lost without it: TestTallyThatIsNotAnsweredIsRepeated of
	// package scan.
	"tally": true,

	// What operators wish: TestAskThatIsNotAnsweredIsRepeated of package scan. Engines only read it, and read it again.
	"ask": true, "withdraw": true, "wishes": true,

	// Where checkpoints are stored: lease/rule_checkpoint_test.go. Reading and moving them is for a service as a whole.
	"save": true, "saveone": true, "forget": true, "fields": true, "movein": true,

	// Signals are hints. Owners that leave, and who announces what nobody owns: TestSendAtEachStepOfLeavingWithACrashThere of package feed.
	"signals": true, "shut": true, "announce": true, "owned": true,
}

// TestCrashBetweenAnyTwoCommandsLosesNothing: an engine dies right before, or right after, its first run of each script, and of
// XREADGROUP: nothing it sends from then on arrives, and no reply reaches it. Another engine finishes the work: an owner ends every
// announced stream, one owner at a time, and nothing is left behind.
func TestCrashBetweenAnyTwoCommandsLosesNothing(t *testing.T) {
	t.Parallel()
	names := []string{"XREADGROUP"}
	for _, s := range append(lease.Scripts(), scan.Scripts()...) {
		if !notCalled[s.Name()] {
			names = append(names, s.Name())
		}
	}
	for _, name := range names {
		for when, action := range map[string]proxy.Action{"before": proxy.CutBefore, "after": proxy.CutAfter} {
			t.Run(when+" "+name, func(t *testing.T) {
				t.Parallel()
				crashAt(t, name, action)
			})
		}
	}
}

// crashAt tests one such crash.
func crashAt(t *testing.T, script string, action proxy.Action) {
	h := newHarness(t)
	seedWork(h)
	h.add(upTo(20)...)
	link := h.link()
	dead := h.dieAt(link, script, action)

	handle := func(a *member, n api.Notification) error {
		if n.Kind != api.Added {
			return nil
		}
		number, err := strconv.Atoi(strings.TrimPrefix(n.Stream, prefix))
		if err != nil {
			return api.Permanent(err)
		}
		switch number % 4 {
		case 0:
			_ = a.finish(n.Lease)
		case 1:
			if n.Lease.Attempt() == 0 {
				return context.DeadlineExceeded // any error
			}
		case 2:
			if a.timesAdded(n.Stream) == 1 {
				_ = n.Lease.Release(context.Background())
			}
		}
		return nil
	}
	opts := []engine.Option{
		engine.WithSessionTTL(600 * time.Millisecond), engine.WithLeaseTTL(1200 * time.Millisecond),
		engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond, RetryDelay: 50 * time.Millisecond}),
	}
	a := h.launch(link.ClientOption(), "a", handle, opts...)
	h.provoke(script, link, a, dead)
	h.until("the engine dies at "+script, func() bool { return dead.Load() })
	link.Cut()
	a.drop()

	b := h.member("b", finishAll, opts...)
	h.until("everything is done", func() bool { return h.Num("XLEN", h.keys.Input) == 0 && h.Num("ZCARD", h.keys.Later) == 0 })
	h.stateIs(state{Sessions: 1, Consumers: 1})
	h.checkDone()
	h.checkOwners()
	require.NoError(t, b.stop())
	h.stateIs(state{})
}

// seedWork gives every script something to do: a dead consumer with streams that it owned and entries that it had read, a consumer
// of another library, and a delayed entry that is due.
func seedWork(h *harness) {
	ctx := context.Background()
	store := h.rawStore(600 * time.Millisecond)
	_, err := store.Open(ctx, 0, "dead.1", 0)
	require.NoError(h.T, err)
	h.add(100, 101, 102, 103)
	raw, err := store.Read(ctx, 0, "dead.1", 4, time.Millisecond)
	require.NoError(h.T, err)
	var entries []*lease.Entry
	for _, r := range raw {
		e, err := lease.ParseEntry(h.layout, 0, r.ID, r.Body)
		require.NoError(h.T, err)
		entries = append(entries, &e)
	}
	_, _, err = store.Acquire(ctx, 0, "dead.1", entries[:3])
	require.NoError(h.T, err)
	_, err = store.Requeue(ctx, 0, "dead.1", []lease.Disposition{{
		Key: entries[0].Key, Entry: entries[0].ID, Token: lease.AnyToken, Dest: lease.ToLater, Delay: time.Millisecond,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}})
	require.NoError(h.T, err)
	h.Do("ZADD", h.keys.Sessions, "1", "dead.1")
	h.add(104)
	h.Do("XREADGROUP", "GROUP", h.layout.Group(), lease.LegacyPrefix+"old", "COUNT", "1", "STREAMS", h.keys.Input, ">")
}

// dieAt ends all traffic on a link at the first request of this name, right before or right after it ran.
func (h *harness) dieAt(link *proxy.Proxy, name string, action proxy.Action) *atomic.Bool {
	dead := &atomic.Bool{}
	link.Inject(proxy.Fault{Command: name, Nth: 1, Action: action, Match: func([][]byte) bool { dead.Store(true); return true }})
	link.Inject(proxy.Fault{Action: proxy.CutBefore, Match: func([][]byte) bool { return dead.Load() }})
	return dead
}

// provoke makes an engine run a script that it does not run normally.
func (h *harness) provoke(script string, link *proxy.Proxy, a *member, dead *atomic.Bool) {
	held := func() bool { return dead.Load() || a.held() > 0 && a.engine.Stats().Ending == 0 }
	switch script {
	case "verify": // the server has forgotten a lease
		h.until("something is held", held)
		for _, member := range h.recordedRuns() {
			h.Do("ZREM", h.keys.Sessions, member)
		}
		for _, key := range h.leases() {
			h.Do("DEL", key)
		}
	case "extend": // the slot migrates
		h.until("something is held", held)
		link.Inject(proxy.Fault{Command: "renew", Action: proxy.ReplyError, Error: "TRYAGAIN injected"})
	case "pending", "close", "leave": // the engine shuts down
		h.until("something is held", held)
		go a.cancel()
	}
}

// recordedRuns returns the server runs on record in the session set of the partition.
func (h *harness) recordedRuns() (members []string) {
	h.T.Helper()
	all, err := h.Try("ZRANGEBYSCORE", h.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(h.T, err)
	for _, m := range all {
		if len(m) > 5 && m[:5] == "!run:" {
			members = append(members, m)
		}
	}
	return members
}
