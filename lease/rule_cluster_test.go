package lease

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// clusterHarness is a cluster of two masters of which the first has all slots and is the one talked to.
func clusterHarness(t *testing.T) (w *harness, other *servers.Server) {
	t.Helper()
	args := servers.Args("--cluster-enabled", "yes")
	w, other = harnessOn(t, servers.New(t, args)), servers.New(t, args)
	w.Do(servers.AddSlots(0, 16384)...)
	w.Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.Port()))
	require.Eventually(t, func() bool {
		info := w.Text("CLUSTER", "INFO")
		return containsLine(info, "cluster_state:ok") && containsLine(info, "cluster_known_nodes:2")
	}, 30*time.Second, 20*time.Millisecond)
	return w, other
}

// TestCluster holds what only a cluster shows; making one takes seconds, so its cases share one.
func TestCluster(t *testing.T) {
	w, other := clusterHarness(t)

	// Trace: a managed cluster refuses INFO: the node's ID stands in for it.
	t.Run("rule 7: refused INFO is replaced by the node's ID", func(t *testing.T) {
		limited := w.as(w.user("-info"))
		limited.t = t
		beat := limited.open(alice)
		require.Equal(t, w.Text("CLUSTER", "MYID"), beat.Server)
		require.False(t, beat.Settling)
		l := limited.own(alice, "first")
		require.Equal(t, "k", limited.renew(alice, l).Verdicts)
		require.Equal(t, "d", verdicts(limited.done(alice, back(l))))
	})

	// Trace: a slot migrates for minutes. Scripts with a key that is not there answer TRYAGAIN all that time; were there no
	// forms with one key, every lease of the slot would run out.
	t.Run("rule 12: a migrating slot is renewed key by key", func(t *testing.T) {
		w.open(alice)
		w.settled()
		l := w.own(alice, "s")
		w.announce("read")
		read := w.read(alice, 1)
		id, err := w.as(other.Client(t)).Try("CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		slot := strconv.Itoa(int(w.keys.Slot))
		w.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
		w.Do("PEXPIRE", l.Key(), "20000")

		tryAgain := func(err error) {
			t.Helper()
			code, ok := Refusal(err)
			require.True(t, ok, err)
			if redisOf(w) < 7 {
				// It sends the client to the other server, which asks it to try again. This client knows no other.
				require.Equal(t, "ASK", code)
				return
			}
			require.Equal(t, "TRYAGAIN", code)
			require.True(t, Retryable(err))
		}
		_, err = w.store.Beat(w.ctx, 0, alice, false)
		tryAgain(err)
		tryAgain(w.store.Renew(w.ctx, 0, alice, 0, [][]*Lease{{l}}, nil, nil)[0].Err)
		_, _, err = w.store.Acquire(w.ctx, 0, alice, read)
		tryAgain(err)
		_, err = w.store.Requeue(w.ctx, 0, alice, []Disposition{back(l)})
		tryAgain(err)

		beat, err := w.store.Beat(w.ctx, 0, alice, true)
		require.NoError(t, err)
		require.Equal(t, SessionLive, beat.Status)
		require.Equal(t, -1, beat.Due, "not looked at")
		require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
		require.Greater(t, w.pttl(l.Key()), 20*time.Second)
		require.Equal(t, "d", verdicts(w.done(alice, back(l))), "all its keys are here")

		w.Do("CLUSTER", "SETSLOT", slot, "STABLE")
		require.Equal(t, Acquired, w.acquire(alice, read...)[0].Verdict)
	})

	// The same for the keys of the fleet.
	t.Run("the balance costs a migrating slot nothing", func(t *testing.T) {
		if redisOf(w) < 7 {
			t.Skip("NOT RUN before Redis 7.0: the client is sent to the other server, which it does not know")
		}
		w.open(alice)
		w.settled()
		a := w.sharer(bob)
		l := a.own(bob, "u")
		w.Do("ZADD", w.keys.Later, "9e15", "x")
		w.Do("DEL", w.keys.Books)
		id, err := w.as(other.Client(t)).Try("CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		slot := strconv.Itoa(int(w.keys.Slot))
		w.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
		defer w.Do("CLUSTER", "SETSLOT", slot, "STABLE")
		again := func() {
			require.True(t, a.set.Balance.isLeftOut(0))
			a.set.Balance.leftOut[0].Store(0)
			a.set.Balance.ReportNow(0)
		}
		require.Equal(t, SessionLive, a.harness.beat(bob).Status)
		again()
		require.Equal(t, "k", a.renew(bob, l).Verdicts)
		again()
		require.Empty(t, a.refused, "a migration is no refusal")
	})

	// Trace: a service that never had a signal. Its key does not exist, so every script that names it answers TRYAGAIN for as long
	// as the slot migrates: without signals, renewals went key by key, and Done, whose keys are all here, waited.
	t.Run("signals cost a migrating slot nothing", func(t *testing.T) {
		if redisOf(w) < 7 {
			t.Skip("NOT RUN before Redis 7.0: the client is sent to the other server, which it does not know")
		}
		w.open(alice)
		w.settled()
		refused := signalling(t, w)
		l := w.own(alice, "t")
		// What beats look at is there; only signals are not.
		w.Do("ZADD", w.keys.Later, "9e15", "x")
		require.Zero(t, w.Num("EXISTS", w.keys.Signals))
		id, err := w.as(other.Client(t)).Try("CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		slot := strconv.Itoa(int(w.keys.Slot))
		w.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
		defer w.Do("CLUSTER", "SETSLOT", slot, "STABLE")
		again := func() {
			require.True(t, w.set.Signals.LeftOut(0))
			w.set.Signals.leftOut[0].Store(0)
		}
		require.Equal(t, SessionLive, w.beat(alice).Status)
		again()
		require.Equal(t, "k", w.renew(alice, l).Verdicts)
		again()
		require.Equal(t, "d", verdicts(w.done(alice, back(l))))
		again()
		require.Empty(t, *refused, "a migration is no refusal")
	})

	// Trace: the keys of a slot are on two nodes for minutes. A checkpoint of a stream that had one is stored by the form with one key,
	// wherever the key is; the first one of a stream waits. What that form stored is found by the next owner, once the slot has moved.
	t.Run("rule 12: checkpoints of a migrating slot are stored one by one", func(t *testing.T) {
		require.Eventually(t, func() bool {
			return containsLine(w.as(other.Client(t)).Text("CLUSTER", "INFO"), "cluster_state:ok")
		}, 30*time.Second, 20*time.Millisecond)
		w.open(alice)
		w.settled()
		l, fresh := w.own(alice, "with"), w.own(alice, "without")
		out := w.requeue(alice, back(l).with("1"))
		require.Equal(t, "m", verdicts(out))
		l, _ = w.next(alice)

		slot := strconv.Itoa(int(w.keys.Slot))
		me, there := w.Text("CLUSTER", "MYID"), w.as(other.Client(t))
		there.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", me)
		w.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", there.Text("CLUSTER", "MYID"))
		both, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{w.server.Addr()}, DisableCache: true})
		require.NoError(t, err)
		defer both.Close()
		c := w.as(both)
		// The client is sent to the other node for keys that are not here, and asks it; the console's is not.
		alone := func(number uint64, value string) string {
			t.Helper()
			got := c.store.SaveCheckpointsAlone(w.ctx, 0, alice, number, []Saving{{l, value}, {fresh, value}})
			return string([]byte{byte(got[0]), byte(got[1])})
		}
		require.Equal(t, "st", alone(1, "2"))
		announceWhileMigrating(t, c, l)
		w.Do("MIGRATE", "127.0.0.1", strconv.Itoa(other.Port()), w.keys.Checkpoints, "0", "5000")
		require.Equal(t, "st", alone(2, "3"), "the checkpoints have moved, the lease has not")
		require.Equal(t, "ot", alone(1, "2"))
		require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
		_, err = w.store.SaveCheckpoints(w.ctx, 0, alice, 3, []Saving{{l, "4"}})
		require.Error(t, err)
		items, err := w.store.Done(w.ctx, 0, alice, []Disposition{back(l).with("4")})
		require.Error(t, err, "%v", items)
		require.Equal(t, alice+" "+l.tag, w.value("with"), "an ending that must wait changes nothing")

		keys, err := w.Try("KEYS", "*").AsStrSlice()
		require.NoError(t, err)
		for _, key := range keys {
			w.Do("MIGRATE", "127.0.0.1", strconv.Itoa(other.Port()), key, "0", "5000")
		}
		for _, h := range []*harness{there, w} {
			h.Do("CLUSTER", "SETSLOT", slot, "NODE", there.Text("CLUSTER", "MYID"))
		}
		there.open(alice)
		there.settled()
		require.Equal(t, "3", there.checkpoint("with"))
		require.Equal(t, "ss", there.save(alice, 4, Saving{l, "5"}, Saving{fresh, "5"}))
		require.Equal(t, "dd", verdicts(there.done(alice, back(l).with("6"), back(fresh).with("6"))))
		require.Equal(t, []string{"6", "6"}, []string{there.checkpoint("with"), there.checkpoint("without")})
	})
}

// announceWhileMigrating announces a stream that is held and one that is free while their slot migrates.
func announceWhileMigrating(t *testing.T, c *harness, held *Lease) {
	t.Helper()
	run := NewRunner(c.Client, nil)
	entry, err := ParseAnnounced(run.Do(c.ctx, AnnounceUnowned(c.layout, held.Stream(), "", []string{"f", "v"})))
	require.NoError(t, err, "all its keys are on one node")
	require.Empty(t, entry)
	_, err = ParseAnnounced(run.Do(c.ctx, AnnounceUnowned(c.layout, "free", "", []string{"f", "v"})))
	code, _ := Refusal(err)
	require.Equal(t, "TRYAGAIN", code)
	owned, _, err := ParseOwned(run.Do(c.ctx, LookOwned(c.layout, "free")))
	require.NoError(t, err)
	require.False(t, owned)
	text, _ := EncodeAnnouncement("free", nil)
	announce := func(last string) string {
		id, err := ParseAnnounced(run.Do(c.ctx, AnnounceUnlooked(c.layout, "free", last, []string{FieldAnnouncement, text})))
		require.NoError(t, err)
		return id
	}
	first := announce("")
	require.Equal(t, first, announce(first), "it stands")
}
