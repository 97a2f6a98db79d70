package lease

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// Trace: the server is at maxmemory. Were beats and renewals refused, the whole fleet would lose all it holds, and hand
// back nothing; but nothing new is taken.
func TestRule11AtMaxmemoryWhatIsHeldGoesOnAndNothingIsTaken(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	kept, moved, later, dead, done, verified := w.own(alice, "kept"), w.own(alice, "moved"), w.own(alice, "later"),
		w.own(alice, "dead"), w.own(alice, "done"), w.own(alice, "verified")
	w.announce("new")
	fresh := w.read(alice, 1)
	w.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	w.Do("CONFIG", "SET", "maxmemory", "1")
	require.ErrorContains(t, w.Try("SET", "x", "y").Error(), "OOM")

	require.Equal(t, SessionLive, w.beat(alice).Status)
	out := w.store.Renew(w.ctx, 0, alice, 1<<52, [][]*Lease{{kept}}, nil, nil)
	require.NoError(t, out[0].Err)
	require.Equal(t, "k", out[0].Verdicts)
	require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{kept}))
	require.Equal(t, "mmm", verdicts(w.requeue(alice, back(moved), back(later).to(ToLater), back(dead).to(ToDeadLetters))))
	require.Equal(t, "d", verdicts(w.done(alice, back(done))))
	require.Equal(t, SessionMade, w.open(bob).Status, "a new process may come")
	left, err := w.store.Close(w.ctx, 0, bob)
	require.NoError(t, err, "and go")
	require.Zero(t, left)
	w.Do("DEL", verified.Key())
	w.setScore(w.runs()[0], -w.Now())
	answer, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{verified}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "k", answer, "a lease that the server forgot is not lost for lack of memory")
	w.settled()

	_, takes, err := w.store.Acquire(w.ctx, 0, alice, fresh)
	require.Empty(t, takes)
	code, ok := Refusal(err)
	require.True(t, ok)
	require.Equal(t, "OOM", code)
	require.True(t, Retryable(err))
	require.Empty(t, w.value("new"))
	require.Contains(t, w.pendingIDs(alice), fresh[0].ID)

	w.Do("CONFIG", "SET", "maxmemory", "0")
	require.Equal(t, Acquired, w.acquire(alice, fresh...)[0].Verdict)
	require.EqualValues(t, 1, w.Num("ZCARD", w.keys.Later))
	require.EqualValues(t, 1, w.Num("XLEN", w.keys.DeadLetters))
	require.Len(t, w.read(alice, 10), 1, "the one that moved")
}

// Trace: the user's client sends what is marked read-only to replicas, which know less than the master.
func TestRule16NothingThatDecidesIsMarkedReadOnly(t *testing.T) {
	w := newHarness(t)
	for _, s := range Scripts() {
		c := Call{Script: s, Keys: []string{"k"}, Args: []string{"a"}}
		for _, name := range []string{"EVALSHA", "EVAL"} {
			cmd := w.store.rest.command(name, s.SHA(), c)
			require.False(t, cmd.IsReadOnly(), "%s %s", name, s.Name())
			require.Equal(t, name, cmd.Commands()[0])
		}
	}
	read := w.Client.B().Xreadgroup().Group("g", "c").Streams().Key("k").Id(">").Build()
	require.False(t, read.IsReadOnly())
}

// everyCall makes each call of the store once on behalf of alice, who holds l; it returns their errors by script.
func (w *harness) everyCall(l *Lease) map[string]error {
	errs := make(map[string]error)
	s, ctx := w.store, w.ctx
	entry := &Entry{ID: l.Entry(), Key: l.Key(), Stream: l.Stream()}
	errs["meta"] = s.Agree(ctx)
	_, errs["open"] = s.Open(ctx, 0, alice, 0)
	_, errs["beat"] = s.Beat(ctx, 0, alice, false)
	errs["renew"] = s.Renew(ctx, 0, alice, 0, [][]*Lease{{l}}, nil, nil)[0].Err
	_, _, errs["acquire"] = s.Acquire(ctx, 0, alice, []*Entry{entry})
	_, errs["verify"] = verdictsOf(s.Verify(ctx, 0, alice, []*Lease{l}, Savings{}))
	_, errs["pending"] = s.Pending(ctx, 0, alice, "", 1, 0)
	_, errs["done"] = s.Done(ctx, 0, alice, []Disposition{back(l)})
	_, errs["requeue"] = s.Requeue(ctx, 0, alice, []Disposition{back(l)})
	_, _, errs["shut"] = s.Shut(ctx, 0, alice, l, false)
	_, errs["announce"] = ParseAnnounced(s.rest.Do(ctx, AnnounceUnowned(w.layout, l.Stream(), "", []string{"f", "v"})))
	_, _, errs["owned"] = ParseOwned(s.rest.Do(ctx, LookOwned(w.layout, l.Stream())))
	_, errs["close"] = s.Close(ctx, 0, alice)
	return errs
}

// Trace: a failover, and a client whose connections still lead to the demoted server. It answers reads, from what it knew:
// that an entry it never heard of is not pending, that a session it missed the beats of is past. No such answer may count.
func TestDemotedServerDecidesNothing(t *testing.T) {
	master := servers.New(t)
	replica := servers.New(t, servers.ReplicaOf(master))
	w := harnessOn(t, master)
	require.NoError(t, w.store.Agree(w.ctx))
	w.open(alice)
	l := w.own(alice, "s")
	require.EqualValues(t, 1, w.Num("WAIT", "1", "20000"))

	demoted := w.as(replica.Client(t))
	for script, err := range demoted.everyCall(l) {
		code, ok := Refusal(err)
		require.True(t, ok, "%s: %v", script, err)
		require.Equal(t, "READONLY", code, "%s: %v", script, err)
		require.True(t, Retryable(err))
		require.ErrorContains(t, Explain(err), "master", script)
	}
	require.Equal(t, []Verdict{0}, demoted.store.Extend(w.ctx, alice, []*Lease{l}))
	require.Equal(t, "k", w.renew(alice, l).Verdicts)
}

// Trace: SCRIPT FLUSH, a restart, or a promoted replica that has never run a script.
func TestForgottenScriptsAreSentAgain(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	flush := func() { w.Do("SCRIPT", "FLUSH", "SYNC") }
	a, b := w.own(alice, "a"), w.own(alice, "b")
	flush()
	require.Equal(t, SessionLive, w.beat(alice).Status)
	flush()
	batches := [][]*Lease{{a}, {b}, {a, b}}
	out := w.store.Renew(w.ctx, 0, alice, 0, batches, nil, nil)
	require.Len(t, out, 3)
	for i := range out {
		require.NoError(t, out[i].Err)
		require.Len(t, out[i].Verdicts, len(batches[i]), "answers are in the order of the batches")
		require.Equal(t, Kept, out[i].Verdict(0))
	}
	flush()
	require.Equal(t, []Verdict{Kept, Kept}, w.store.Extend(w.ctx, alice, []*Lease{a, b}))
	flush()
	require.Equal(t, "m", verdicts(w.requeue(alice, back(a))))
	flush()
	require.Equal(t, Acquired, w.acquire(alice, w.read(alice, 1)...)[0].Verdict)
	flush()
	require.Equal(t, "d", verdicts(w.done(alice, back(b))))
	flush()
	_, err := w.store.Close(w.ctx, 0, alice)
	require.NoError(t, err)
}

// Trace: a right is missing. Found when an entry is half moved, it would strand work; found at the start, it is a message
// that says which command, and on which key.
func TestOpenNamesTheMissingRight(t *testing.T) {
	server := servers.New(t)
	for rule, wants := range map[string][]string{
		"-xpending":      {"xpending", "shop-input"},
		"-xrange":        {"xrange", "shop-input"},
		"-xack":          {"xack", "shop-input"},
		"-xdel":          {"xdel", "shop-input"},
		"-xclaim":        {"xclaim", "shop-input"},
		"-xadd":          {"xadd", "shop-input"},
		"-xgroup":        {"xgroup", "shop-input"},
		"-xreadgroup":    {"xreadgroup", "shop-input"},
		"-zadd":          {"zadd", ":later"},
		"-zrem":          {"zrem", ":later"},
		"-zcount":        {"zcount", ":later"},
		"-zrangebyscore": {"zrangebyscore", "shop-input"},
		"-zscore":        {"zscore", ":sessions"},
		"-time":          nil, // the server does not say which, and this comes before anything else
		"-mget":          {"mget", ":lease:"},
		"-get":           {"get", ":lease:"},
		"-set":           {"set", ":lease:"},
		"-pttl":          {"pttl", ":lease:"},
		"-del":           {"del", ":lease:"},
		"-pexpire":       {"pexpire", ":sessions"},
		"-pexpireat":     {"pexpireat", ":lease:"},
	} {
		t.Run(rule, func(t *testing.T) {
			w := harnessOn(t, server)
			w.Do("FLUSHALL")
			_, err := w.as(w.user(rule)).store.Open(w.ctx, 0, alice, 0)
			require.Error(t, err)
			for _, want := range wants {
				require.Contains(t, strings.ToLower(err.Error()), want)
			}
			require.False(t, Retryable(err), err)
			require.ErrorContains(t, Explain(err), "grant")
			_, ok := w.deadline(alice)
			require.False(t, ok, "no session without the rights to use it")
		})
	}
	t.Run("key pattern", func(t *testing.T) {
		w := newHarness(t)
		client := w.user("resetkeys", "~shop-input", "~{shop-input}:sessions", "~{shop-input}:later", "~{shop-input}:token")
		_, err := w.as(client).store.Open(w.ctx, 0, alice, 0)
		require.Error(t, err)
		require.False(t, Retryable(err), err)
	})
	t.Run("all that is needed", func(t *testing.T) {
		w := newHarness(t)
		client := w.user("-@all", "+@connection", "+evalsha", "+eval", "+time", "+info", "+xadd", "+xack", "+xdel", "+xlen", "+xrange",
			"+xpending", "+xclaim", "+xreadgroup", "+xgroup", "+xinfo", "+zadd", "+zrem", "+zcount", "+zscore", "+zrangebyscore",
			"+get", "+mget", "+set", "+del", "+pttl", "+pexpire", "+pexpireat", "+hsetnx", "+hmget")
		limited := w.as(client)
		require.NoError(t, limited.store.Agree(w.ctx))
		limited.open(alice)
		l := limited.own(alice, "s")
		require.Equal(t, "m", verdicts(limited.requeue(alice, back(l).to(ToDeadLetters))))
		for script, err := range limited.everyCall(l) {
			require.NoError(t, err, script)
		}
	})
}

// Trace: a key of another type stands in the place of one of ours.
func TestOpenNamesTheKeyOfAnotherType(t *testing.T) {
	for name, key := range map[string]func(*harness) string{
		"input":    func(w *harness) string { return w.keys.Input },
		"sessions": func(w *harness) string { return w.keys.Sessions },
		"later":    func(w *harness) string { return w.keys.Later },
		"token":    func(w *harness) string { return w.keys.Token },
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.Do("HSET", key(w), "f", "v")
			_, err := w.store.Open(w.ctx, 0, alice, 0)
			require.ErrorContains(t, err, "WRONGTYPE")
			require.ErrorContains(t, err, key(w))
			require.False(t, Retryable(err))
			require.ErrorContains(t, Explain(err), "delete or rename")
		})
	}
}

// Trace: somebody writes a key of their own where a lease is. It is nobody's lease: who held it has lost it, nobody
// acquires it, and its entry can be requeued.
func TestLeaseKeyOfAnotherType(t *testing.T) {
	for name, spoil := range map[string][]string{"hash": {"HSET", "f", "v"}, "text": {"SET", "mine!"}} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.open(alice)
			l, other := w.own(alice, "s"), w.own(alice, "other")
			w.Do("DEL", l.Key())
			w.Do(append([]string{spoil[0], l.Key()}, spoil[1:]...)...)
			e := &Entry{ID: l.Entry(), Key: l.Key(), Stream: "s"}

			takes := w.acquire(alice, e, &Entry{ID: other.Entry(), Key: other.Key(), Stream: "other"})
			require.Equal(t, Refused, takes[0].Verdict)
			require.NotEmpty(t, takes[0].Reason)
			require.Equal(t, Acquired, takes[1].Verdict, "the rest of the batch goes on")
			require.Equal(t, "l", w.renew(alice, l).Verdicts)
			require.Equal(t, []Verdict{Lost}, w.extendOrLost(l))
			w.forget()
			kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
			require.NoError(t, err)
			require.Equal(t, "l", kept)
			r := back(l)
			r.Token = AnyToken
			require.Equal(t, "m", verdicts(w.requeue(alice, r)))
			require.EqualValues(t, 1, w.Num("EXISTS", l.Key()), "what is not ours is not deleted")
		})
	}
}

// extendOrLost counts a lease that is missing as lost, as Extend's caller does outside of settling.
func (w *harness) extendOrLost(l *Lease) []Verdict {
	out := w.store.Extend(w.ctx, alice, []*Lease{l})
	if out[0] == Missing {
		out[0] = Lost
	}
	return out
}

// Trace: somebody destroys the group, or deletes the input stream. What is held is renewed; endings are refused until the
// group is made again, and then find nothing pending.
func TestDestroyedGroup(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.announce("waits")
	w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())

	require.Equal(t, "k", w.renew(alice, l).Verdicts)
	_, err := w.store.Read(w.ctx, 0, alice, 1, time.Millisecond)
	code, _ := Refusal(err)
	require.Equal(t, "NOGROUP", code)
	require.True(t, Retryable(err))
	_, err = w.store.Pending(w.ctx, 0, alice, "", 1, 0)
	code, _ = Refusal(err)
	require.Equal(t, "NOGROUP", code)
	out := w.requeue(alice, back(l))
	require.Equal(t, "x", verdicts(out))
	require.Contains(t, out[0].Reason, "NOGROUP")
	require.Equal(t, "x", verdicts(w.done(alice, back(l))))
	left, err := w.store.Close(w.ctx, 0, bob)
	require.NoError(t, err)
	require.Zero(t, left)

	require.Equal(t, SessionLive, w.open(alice).Status)
	// The group begins at 0, all would be handed out again: but what is done is done.
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.Empty(t, w.value("s"))
	entries := w.read(alice, 10)
	require.Len(t, entries, 1)
	require.Greater(t, w.take(alice, entries[0]).Token(), l.Token())
}

// Trace: FLUSHALL. What was announced is gone; nobody may act on what they held, and the service goes on with what comes.
func TestFlushAll(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("FLUSHALL")
	r := w.renew(alice, l)
	require.Equal(t, SessionMade, r.Status)
	require.True(t, r.Settling)
	require.Equal(t, "m", r.Verdicts)
	kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "g", kept)
	require.True(t, w.open(alice).Settling)
	require.Equal(t, "n", verdicts(w.requeue(alice, back(l))))
	require.Equal(t, "n", verdicts(w.done(alice, back(l))))
	w.settled()
	next := w.own(alice, "s")
	require.Greater(t, next.Token(), l.Token())
}

// Two first members with different numbers of partitions: one wins, the other gets an error.
func TestAgreeTellsWhoCameSecond(t *testing.T) {
	w := newHarness(t)
	require.NoError(t, w.store.Agree(w.ctx))
	require.NoError(t, w.store.Agree(w.ctx))
	checkDisagreement(t, w)
}

// Every call made twice in a row leaves what one leaves: the first answer may have been lost.
func TestEveryCallMayBeAskedTwice(t *testing.T) {
	dump := func(twice bool) (stands []string) {
		w := newHarness(t)
		w.open(alice)
		a, b, c := w.own(alice, "a"), w.own(alice, "b"), w.own(alice, "c")
		w.announce("d")
		entries := w.read(alice, 1)
		times := 1
		if twice {
			times = 2
		}
		for range times {
			w.open(alice)
			w.beat(alice)
		}
		for range times {
			require.Equal(t, "kkk", w.renew(alice, a, b, c).Verdicts)
		}
		var d *Lease
		for range times {
			d = w.take(alice, entries[0])
		}
		for range times {
			w.done(alice, back(a))
		}
		for range times {
			w.requeue(alice, back(b), back(c).to(ToLater), back(d).to(ToDeadLetters))
		}
		w.dueNow()
		for range times {
			_, _, err := w.promote(10)
			require.NoError(t, err)
		}
		for range times {
			_, err := w.store.Close(w.ctx, 0, alice)
			require.NoError(t, err)
		}
		for _, key := range []string{w.keys.Input, w.keys.DeadLetters} {
			for _, e := range w.Stream(key) {
				stands = append(stands, key+" "+e.FieldValues[FieldAnnouncement])
			}
		}
		stands = append(stands, w.Consumers(w.keys.Input, w.layout.Group())...)
		keys, err := w.Try("KEYS", "*").AsStrSlice()
		require.NoError(t, err)
		require.ElementsMatch(t, []string{w.keys.Input, w.keys.DeadLetters, w.keys.Sessions, w.keys.Token}, keys)
		require.Zero(t, len(w.pendingIDs(alice)))
		return stands
	}
	require.Equal(t, dump(false), dump(true))
}

// A refusal is distinguished from an unknown outcome.
func TestNoAnswerIsNotARefusal(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.Timeout = 50 * time.Millisecond })
	w.open(alice)
	require.NoError(t, w.server.Pause())
	_, err := w.store.Beat(w.ctx, 0, alice, false)
	require.Error(t, err)
	_, refused := Refusal(err)
	require.False(t, refused)
	require.True(t, Retryable(err))
	require.ErrorContains(t, Explain(err), "may have run")
	require.NoError(t, w.server.Resume())
	require.Eventually(t, func() bool {
		_, err := w.store.Beat(w.ctx, 0, alice, false)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
}

// The observer gets every call by the script's name, errors included.
func TestRunnerTellsOfEveryCall(t *testing.T) {
	w := newHarness(t)
	var names []string
	var failed int
	w.store = NewStore(w.layout, w.set, w.Client, w.Client, func(script string, took time.Duration, err error) {
		require.Positive(t, took)
		names = append(names, script)
		if err != nil {
			failed++
		}
	})
	w.open(alice)
	l := w.own(alice, "s")
	w.store.Renew(w.ctx, 0, alice, 0, [][]*Lease{{l}, {l}}, nil, nil)
	require.Equal(t, []string{"open", "acquire", "renew", "renew"}, names)
	require.Zero(t, failed)
	w.Do("DEL", w.keys.Sessions)
	w.Do("SET", w.keys.Sessions, "x")
	_, err := w.store.Beat(w.ctx, 0, alice, false)
	_, ok := rueidis.IsRedisErr(err)
	require.True(t, ok)
	require.Equal(t, 1, failed)
}
