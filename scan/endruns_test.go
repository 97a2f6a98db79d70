package scan

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// endRuns ends runs and returns how many sessions were open.
func (h *harness) endRuns(runs ...string) int {
	h.t.Helper()
	n, err := h.store.EndRuns(h.ctx, 0, runs)
	require.NoError(h.t, err)
	return n
}

func TestProvenRunIsRecoveredNowAndCountsACrash(t *testing.T) {
	everyServer(t, func(t *testing.T, h *harness) {
		h.owned(dead, "s")
		require.Empty(t, h.listDead(ann, true))
		require.Equal(t, 1, h.endRuns(dead))
		require.Equal(t, []string{dead}, h.listDead(ann, false))
		done := h.recover(ann)
		require.Equal(t, 1, done.Entries)
		require.True(t, done.Removed)
		require.Empty(t, h.deadline(dead))
		entries := h.read(bea, 1)
		require.Contains(t, entries[0].Body, rueidis.XRangeFieldValue{Field: lease.FieldCrashes, Value: "1"})
		require.Zero(t, h.endRuns(dead), "asked again")
		require.Zero(t, h.Num("EXISTS", h.keys.Lease("s")), "the lease is free")
	})
}

// TestRunsAreToldApartByTheirWholeNames: only the first session of a run and those that followed it are its own.
func TestRunsAreToldApartByTheirWholeNames(t *testing.T) {
	h := newHarness(t)
	own := []string{"a.RUN", "a.RUN-1", "a.RUN-27"}
	others := []string{"a.RUN2", "b.a.RUN", "a.RUN-", "a.RUN-x", "a.RUN-1.OTHER", "a.RU", "a.RUN.1", "A.RUN"}
	for _, name := range append(append([]string{}, own...), others...) {
		h.open(name)
	}
	require.Equal(t, len(own), h.endRuns("other", "a.RUN"))
	require.ElementsMatch(t, own, h.listDead(ann, true))
}

func TestEndingRunsLeavesOtherEndsAlone(t *testing.T) {
	h := newHarness(t)
	for _, name := range []string{"run", "run-1", "run-2"} {
		h.open(name)
	}
	h.score("run", "0")
	h.kill("run-1", time.Minute)
	before := h.deadline("run-1")
	require.Equal(t, 1, h.endRuns("run"))
	require.Equal(t, "0", h.deadline("run"), "closed on purpose: no crash")
	require.Equal(t, before, h.deadline("run-1"), "past already")
}

// TestAdoptedSessionOfAProvenRunCountsNoCrash, since nobody knows how it ended.
func TestAdoptedSessionOfAProvenRunCountsNoCrash(t *testing.T) {
	h := newHarness(t)
	h.announce("s")
	h.read(dead, 1)
	require.Empty(t, h.listDead(ann, true), "adopted")
	require.Equal(t, 1, h.endRuns(dead))
	at, err := strconv.ParseFloat(h.deadline(dead), 64)
	require.NoError(t, err)
	require.Equal(t, 0.5, at-math.Trunc(at))
	require.Equal(t, []string{dead}, h.listDead(ann, false))
}

// Trace: a read of the dead process is still blocked on the server, which has not heard of its end. Recovery removes the consumer,
// and what is announced next is delivered to that read: it makes the consumer again, without a session.
func TestConsumerThatABlockedReadMadeAgainIsRecoveredAtTheSecondLook(t *testing.T) {
	h := newHarness(t).withDead()
	require.Equal(t, 1, h.endRuns(dead))
	require.True(t, h.recover(ann).Removed)
	h.announce("s")
	h.read(dead, 1)
	require.Empty(t, h.listDead(ann, false))
	require.Equal(t, 1, h.endRuns(dead))
	require.Equal(t, []string{dead}, h.listDead(ann, false))
	require.Equal(t, 1, h.recover(ann).Entries)
}

// TestLateCallsOfAProvenRunChangeNothing: they were sent before it died, and run after its session was ended.
func TestLateCallsOfAProvenRunChangeNothing(t *testing.T) {
	h := newHarness(t).withDead()
	held := h.owned(dead, "held")
	h.announce("read")
	raw := h.read(dead, 1)[0]
	read, err := lease.ParseEntry(h.layout, 0, raw.ID, raw.Body)
	require.NoError(t, err)
	require.Equal(t, 1, h.endRuns(dead))

	beat, err := h.leases.Beat(h.ctx, 0, dead, false)
	require.NoError(t, err)
	require.Equal(t, lease.SessionLost, beat.Status)
	beat, err = h.leases.Open(h.ctx, 0, dead, 0)
	require.NoError(t, err)
	require.Equal(t, lease.SessionLost, beat.Status)
	status, _, err := h.leases.Acquire(h.ctx, 0, dead, []*lease.Entry{&read})
	require.NoError(t, err)
	require.Equal(t, lease.SessionLost, status)
	require.Equal(t, []string{dead}, h.listDead(ann, false))
	require.Equal(t, 2, h.recover(ann).Entries)
	require.Zero(t, h.Num("EXISTS", held.Key))

	// Even later, when its session has been removed, they make one that nobody uses; the second look ends it.
	beat, err = h.leases.Beat(h.ctx, 0, dead, false)
	require.NoError(t, err)
	require.Equal(t, lease.SessionMade, beat.Status)
	status, takes, err := h.leases.Acquire(h.ctx, 0, dead, []*lease.Entry{&read})
	require.NoError(t, err)
	require.Equal(t, lease.SessionLive, status)
	require.Equal(t, lease.NotPending, takes[0].Verdict)
	require.Equal(t, 1, h.endRuns(dead))
	require.True(t, h.recover(ann).Removed)
}

// TestProvenRunIsJudgedByItsLastBeat: what counts as stable depends on how long it was held until the process died, not on how the
// death was found out. The last beat was 3 s ago.
func TestProvenRunIsJudgedByItsLastBeat(t *testing.T) {
	for name, tc := range map[string]struct {
		idle   time.Duration
		stable bool
	}{
		"stable":     {5*time.Minute + 4*time.Second, true},
		"not stable": {5*time.Minute + 2*time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t).withDead()
			e := h.owned(dead, "s")
			h.score(dead, strconv.FormatInt(h.Now()+7000, 10))
			h.held(e, tc.idle)
			require.Equal(t, 1, h.endRuns(dead))
			items := h.items(h.recovery(ann))
			require.Len(t, items, 1)
			require.Equal(t, tc.stable, items[0].Crashes == 0)
		})
	}
}

// Trace: the server restarts between the end of a run's sessions and its recovery, and the first beat gives every session a new
// deadline. The run is recovered later, and still counts a crash.
func TestProvenRunOverAChangeOfServer(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	require.Equal(t, 1, h.endRuns(dead))
	h.forget()
	_, err := h.leases.Beat(h.ctx, 0, ann, false)
	require.NoError(t, err)
	require.Empty(t, h.listDead(ann, false), "while it settles")
	require.Equal(t, 1, h.endRuns(dead))
	at, err := strconv.ParseFloat(h.deadline(dead), 64)
	require.NoError(t, err)
	require.Less(t, at, float64(h.Now()))
	require.True(t, sessionEnd{deadline: at, now: h.Now()}.crashed())
}

func TestEndingRunsWhereNothingIs(t *testing.T) {
	h := newHarness(t)
	h.Do("DEL", h.keys.Input)
	require.Zero(t, h.endRuns(dead))
	h.Do("DEL", h.keys.Sessions)
	require.Zero(t, h.endRuns(dead))
	require.Zero(t, h.Num("EXISTS", h.keys.Sessions))
}

// A partition at maxmemory, and a server that was demoted.
func TestEndingRunsOnServersThatRefuseWrites(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.Do("CONFIG", "SET", "maxmemory", "1")
	require.Equal(t, 1, h.endRuns(dead), "frees memory in the end")
	h.Do("CONFIG", "SET", "maxmemory", "0")
	h.Do("REPLICAOF", "127.0.0.1", "1")
	_, err := h.store.EndRuns(h.ctx, 0, []string{dead})
	code, _ := lease.Refusal(err)
	require.Equal(t, "READONLY", code)
}
