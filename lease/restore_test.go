package lease

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aliceAndBob runs a test on each kind of server with a session of each.
func aliceAndBob(t *testing.T, f func(t *testing.T, w *harness)) {
	everyServer(t, func(t *testing.T, w *harness) {
		w.open(bob)
		f(t, w)
	})
}

func keepable(l *Lease) Keepable {
	return Keepable{Key: l.Key(), Entry: l.Entry(), Token: l.Token().String()}
}

func (w *harness) keep(consumer string, items ...Keepable) string {
	w.t.Helper()
	status, out, err := w.store.Keep(w.ctx, 0, consumer, items)
	require.NoError(w.t, err)
	require.Equal(w.t, SessionLive, status)
	return verdicts(out)
}

func (w *harness) restore(consumer string, items ...Restorable) string {
	w.t.Helper()
	out, err := w.store.Restore(w.ctx, 0, consumer, items)
	require.NoError(w.t, err)
	return verdicts(out)
}

// fields are those of the only entry of a stream.
func (w *harness) fields(key string) map[string]string {
	w.t.Helper()
	entries := w.Stream(key)
	require.Len(w.t, entries, 1)
	return entries[0].FieldValues
}

// A cron job removes the consumer of a living process: what it owns was neither pending nor undelivered from then on. The
// ownership goes on, under the same token, and ends as any other.
func TestHeldEntriesAreMadePendingAgain(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		removed, acked, held := w.own(alice, "removed"), w.own(alice, "acked"), w.own(alice, "held")
		w.Do("XGROUP", "DELCONSUMER", w.keys.Input, w.layout.Group(), alice)
		require.Equal(t, "rrr", w.keep(alice, keepable(removed), keepable(acked), keepable(held)))
		w.Do("XACK", w.keys.Input, w.layout.Group(), acked.Entry())
		require.Equal(t, "krk", w.keep(alice, keepable(removed), keepable(acked), keepable(held)))
		require.Equal(t, map[string]int{removed.Entry(): HeldDeliveries, acked.Entry(): HeldDeliveries, held.Entry(): HeldDeliveries},
			w.deliveries(alice))
		require.Equal(t, "kkk", w.renew(alice, removed, acked, held).Verdicts)
		require.Equal(t, "d", verdicts(w.done(alice, back(removed))))
		require.Equal(t, "mm", verdicts(w.requeue(alice, back(acked), back(held))))
		require.Len(t, w.read(bob, 10), 2)
	})
}

// Who owns a stream has its announcement; whoever claims that by hand cannot own the stream anyway.
func TestHeldEntryClaimedByHandComesBack(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		l := w.own(alice, "s")
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", l.Entry())
		require.Equal(t, "r", w.keep(alice, keepable(l)))
		require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
		require.Empty(t, w.pendingIDs(bob))
		require.Equal(t, NotPending, w.acquire(bob, &Entry{ID: l.Entry(), Key: l.Key(), Stream: "s"})[0].Verdict)
	})
}

// Nothing is made pending that should not be: the lease is another's or another ownership's, the body is gone, nobody was
// given it yet, it waits here and another consumer has it.
func TestKeepChangesNothingElse(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		over, trimmed, lost := w.own(alice, "over"), w.own(alice, "trimmed"), w.own(alice, "lost")
		old := keepable(over)
		old.Token = "1"
		require.Equal(t, "d", verdicts(w.done(alice, back(over))))
		w.Do("XDEL", w.keys.Input, trimmed.Entry())
		w.Do("DEL", lost.Key())
		w.announce("waits")
		waits := w.read(alice, 1)[0]
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", waits.ID)
		parked := Keepable{Key: waits.Key, Entry: waits.ID}
		require.Equal(t, "llgll", w.keep(alice, keepable(over), old, keepable(trimmed), keepable(lost), parked))
		w.Do("XACK", w.keys.Input, w.layout.Group(), trimmed.Entry(), lost.Entry())
		require.Equal(t, "gl", w.keep(alice, keepable(trimmed), keepable(lost)))
		require.Empty(t, w.pendingIDs(alice))
		w.Do("XACK", w.keys.Input, w.layout.Group(), waits.ID)
		require.Equal(t, "r", w.keep(alice, parked))
		require.Equal(t, map[string]int{waits.ID: 1}, w.deliveries(alice), "it was never held")

		// The group is made again from the start: all is undelivered once more.
		held := w.own(alice, "held")
		w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())
		w.open(alice)
		require.Equal(t, "w", w.keep(alice, keepable(held)))
		read := w.read(bob, 10)
		require.Len(t, read, 3)
		require.Equal(t, "r", w.keep(alice, keepable(held)))
		require.Equal(t, []string{held.Entry()}, w.pendingIDs(alice))

		w.kill(alice)
		status, _, err := w.store.Keep(w.ctx, 0, alice, []Keepable{keepable(held)})
		require.NoError(t, err)
		require.Equal(t, SessionLost, status)
	})
}

// olderKeep is keep as it runs before Redis 7.
func olderKeep(t *testing.T) *Script {
	lua, err := luaFiles.ReadFile("lua/keep.lua")
	require.NoError(t, err)
	return NewScript("keep", strings.ReplaceAll(string(lua), "redis.REDIS_VERSION_NUM", "nil"))
}

// A call reads no more than one should, and says what it did not come to. Where a consumer was removed nothing is read, from
// Redis 7 on.
//
// After one had been removed 256 entries of 4 MiB were read in one call, which held the server up for three seconds.
func TestKeepReadsSoMuchOnly(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		const n = 6
		var items []Keepable
		for i := range n {
			w.announce("s"+strconv.Itoa(i), "much", strings.Repeat("x", MaxCallWeight/2))
			items = append(items, keepable(w.take(alice, w.read(alice, 1)[0])))
		}
		for name, script := range map[string]*Script{"this server": scriptKeep, "before Redis 7": olderKeep(t)} {
			ask := func(items []Keepable) string {
				status, out, err := w.store.keep(w.ctx, script, 0, alice, items)
				require.NoError(t, err)
				require.Equal(t, SessionLive, status)
				return verdicts(out)
			}
			require.Equal(t, "kktttt", ask(items), "what is pending and may have no body is read")
			require.Equal(t, "kk", ask(items[4:]))
			w.Do("XGROUP", "DELCONSUMER", w.keys.Input, w.layout.Group(), alice)
			w.Do("CONFIG", "RESETSTAT")
			if name == "this server" && redisOf(w) >= 7 {
				require.Equal(t, "rrrrrr", ask(items))
				stats, err := w.server.CommandStats(w.ctx)
				require.NoError(t, err)
				require.Zero(t, stats["xrange"].Calls)
				continue
			}
			require.Equal(t, "rrtttt", ask(items))
			require.Equal(t, "rrtt", ask(items[2:]))
			require.Equal(t, "rr", ask(items[4:]))
		}
		require.Len(t, w.pendingIDs(alice), n)
	})
}

// Where it was acknowledged by hand, done leaves nothing behind: the body stayed forever.
func TestDoneOfAnAcknowledgedEntryDeletesIt(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		acked, claimed, other := w.own(alice, "acked"), w.own(alice, "claimed"), w.own(alice, "other")
		w.Do("XACK", w.keys.Input, w.layout.Group(), acked.Entry(), other.Entry())
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", claimed.Entry())
		wrong := back(other)
		wrong.Token = "1"
		require.Equal(t, "dnn", verdicts(w.done(alice, back(acked), back(claimed), wrong)))
		require.Equal(t, "n", verdicts(w.done(alice, back(acked))), "asked again")
		require.Empty(t, w.value("acked"))
		require.Empty(t, w.value("claimed"), "whoever has it now gets the stream")
		require.NotEmpty(t, w.value("other"))
		require.Len(t, w.Stream(w.keys.Input), 2)
	})
}

// What is requeued goes where its owner wanted it though somebody acknowledged or deleted it: as it stands there, or from
// memory.
func TestRestoreGivesUpWhatIsLeft(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		w.announce("acked", FieldCrashes, "2", "other", "field")
		acked := w.take(alice, w.read(alice, 1)[0])
		w.Do("XACK", w.keys.Input, w.layout.Group(), acked.Entry())
		item := Restorable{Disposition: back(acked), Memory: acked.Memory()}
		item.Retries = 1
		require.Equal(t, "m", w.restore(alice, item))
		fields := w.fields(w.keys.Input)
		require.Equal(t, "field", fields["other"], "the body was there")
		require.Equal(t, "1", fields[FieldRetries])
		require.Equal(t, "2", fields[FieldCrashes])
		require.Empty(t, w.value("acked"))
		require.Equal(t, "c", w.restore(alice, item), "asked again after a lost answer")
		require.Len(t, w.Stream(w.keys.Input), 1)
		require.Equal(t, "d", verdicts(w.done(bob, Disposition{Key: acked.Key(), Entry: w.read(bob, 1)[0].ID})))

		text, err := EncodeAnnouncement("trimmed", []byte(`{"a":1}`))
		require.NoError(t, err)
		w.Text("XADD", w.keys.Input, "*", FieldAnnouncement, text, FieldRetries, "1", FieldCrashes, "2", "other", "field")
		trimmed := w.take(alice, w.read(alice, 1)[0])
		w.Do("XTRIM", w.keys.Input, "MAXLEN", "0")
		item = Restorable{Disposition: back(trimmed), Memory: trimmed.Memory()}
		require.Equal(t, "c", w.restore(alice, item))
		require.Equal(t, map[string]string{FieldAnnouncement: text, FieldRetries: "1", FieldCrashes: "2"}, w.fields(w.keys.Input))
		require.Empty(t, w.value("trimmed"))
		require.Empty(t, w.pendingIDs(alice))

		// Pending for somebody else; nothing remembered.
		l := w.take(alice, w.read(alice, 1)[0])
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", l.Entry())
		item = Restorable{Disposition: back(l), Memory: l.Memory()}
		require.Equal(t, "n", w.restore(alice, item))
		require.Empty(t, w.value("trimmed"), "its owner has ended it")
		w.Do("XACK", w.keys.Input, w.layout.Group(), l.Entry())
		w.Do("XDEL", w.keys.Input, l.Entry())
		item.Memory = Memory{}
		require.Equal(t, "g", w.restore(alice, item))
		require.Empty(t, w.Stream(w.keys.Input))

		// Asked again after a lost answer, it is not announced twice.
		item.Memory = l.Memory()
		require.Equal(t, "c", w.restore(alice, item))
		require.Equal(t, "c", w.restore(alice, item))
		require.Equal(t, text, w.fields(w.keys.Input)[FieldAnnouncement])
		w.Do("XTRIM", w.keys.Input, "MAXLEN", "0")
		mark := w.keys.Recover("!" + l.Entry())
		require.Positive(t, w.pttl(mark))

		// Wherever it was to go.
		w.Do("DEL", mark)
		item.Dest, item.Delay, item.Retries = ToLater, time.Hour, 2
		require.Equal(t, "c", w.restore(alice, item))
		require.Equal(t, 1, w.Num("ZCARD", w.keys.Later))
		w.Do("DEL", mark)
		item.Dest, item.Reason = ToDeadLetters, "retries: enough"
		require.Equal(t, "c", w.restore(alice, item))
		letter := w.fields(w.keys.DeadLetters)
		require.Equal(t, "retries: enough", letter[FieldReason])
		require.Equal(t, text, letter[FieldAnnouncement])
		require.Equal(t, "2", letter[FieldRetries])
	})
}

// Restore does not free what another ownership has, nor touch what another consumer was given.
func TestRestoreLeavesTheNextOwnershipAlone(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		first := w.own(alice, "s")
		w.Do("XACK", w.keys.Input, w.layout.Group(), first.Entry())
		item := Restorable{Disposition: back(first), Memory: first.Memory()}
		require.Equal(t, "m", w.restore(alice, item))
		next := w.take(bob, w.read(bob, 1)[0])
		item.Memory = Memory{}
		require.Equal(t, "g", w.restore(alice, item))
		require.Equal(t, "k", w.renew(bob, next).Verdicts)
		require.Equal(t, []string{next.Entry()}, w.pendingIDs(bob))
	})
}

// A refusal in the midst of it takes the copy back: it is asked again.
func TestRestoreThatIsRefusedChangesNothing(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("XTRIM", w.keys.Input, "MAXLEN", "0")
	item := Restorable{Disposition: back(l), Memory: l.Memory()}
	item.Dest = ToDeadLetters
	w.Do("SET", w.keys.DeadLetters, "not a stream")
	require.Equal(t, "x", w.restore(alice, item))
	require.NotEmpty(t, w.value("s"))
	require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	w.Do("DEL", w.keys.DeadLetters)
	require.Equal(t, "c", w.restore(alice, item))
}

// The IDs of what is pending come in pages, with what tells at a glance that bodies are missing.
func TestPendingIDs(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	page, err := w.store.PendingIDs(w.ctx, 0, alice, "", 10)
	require.NoError(t, err)
	require.Equal(t, IDPage{IDs: []string{}}, page)
	var ids []string
	for i := range 5 {
		ids = append(ids, w.announce("s-"+strconv.Itoa(i)))
	}
	w.read(alice, 4)
	w.open(bob)
	w.read(bob, 1)
	page, err = w.store.PendingIDs(w.ctx, 0, alice, "", 3)
	require.NoError(t, err)
	require.Equal(t, IDPage{IDs: ids[:3], Length: 5, Pending: 5, First: ids[0]}, page)
	page, err = w.store.PendingIDs(w.ctx, 0, alice, ids[2], 3)
	require.NoError(t, err)
	require.Equal(t, IDPage{IDs: ids[3:4]}, page)
	w.Do("XTRIM", w.keys.Input, "MAXLEN", "3")
	page, err = w.store.PendingIDs(w.ctx, 0, alice, "", 9)
	require.NoError(t, err)
	require.Equal(t, IDPage{IDs: ids[:4], Length: 3, Pending: 5, First: ids[2]}, page)
}

func TestBeforeID(t *testing.T) {
	require.Equal(t, "5-6", BeforeID("5-7"))
	require.Equal(t, "4-18446744073709551615", BeforeID("5-0"))
	require.Equal(t, "0-0", BeforeID("0-0"))
}

// A consumer that is given nothing looked idle: on Redis 7.0 even while it reads, on others it looked inactive. Neither
// may be, or it is removed by whoever removes idle consumers. What is pending keeps its age and its count.
func TestConsumerIsNeverIdle(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		ages := func() (found map[string]int64) {
			rows, err := w.Try("XINFO", "CONSUMERS", w.keys.Input, w.layout.Group()).ToArray()
			require.NoError(t, err)
			for _, row := range rows {
				fields, err := row.AsMap()
				require.NoError(t, err)
				name := fields["name"]
				if text, _ := name.ToString(); text != alice {
					continue
				}
				found = make(map[string]int64)
				for _, key := range []string{"idle", "inactive"} {
					if v, there := fields[key]; there {
						found[key], err = v.AsInt64()
						require.NoError(t, err)
					}
				}
			}
			return found
		}
		l, gone := w.own(alice, "s"), w.own(alice, "gone")
		const old = 300 * time.Millisecond
		require.Eventually(t, func() bool { return ages()["idle"] > old.Milliseconds() }, 10*time.Second, 20*time.Millisecond)
		before, err := w.store.Pending(w.ctx, 0, alice, "", 1, 0)
		require.NoError(t, err)
		start := time.Now()
		n, err := w.store.Attend(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		young := ages()
		limit := time.Since(start).Milliseconds() + 50 // of what was over 300 without the call
		for key, age := range young {
			require.LessOrEqual(t, age, limit, key)
		}
		after, err := w.store.Pending(w.ctx, 0, alice, "", 1, 0)
		require.NoError(t, err)
		require.Equal(t, l.Entry(), after[0].ID)
		require.GreaterOrEqual(t, after[0].Idle, before[0].Idle)
		require.Equal(t, HeldDeliveries, after[0].Deliveries)

		w.Do("XDEL", w.keys.Input, l.Entry(), gone.Entry())
		n, err = w.store.Attend(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Equal(t, 2, n, "what has no body is not dropped")
		w.Do("XGROUP", "DELCONSUMER", w.keys.Input, w.layout.Group(), alice)
		n, err = w.store.Attend(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Contains(t, strings.Join(w.Consumers(w.keys.Input, w.layout.Group()), " "), alice)
	})
}

// A server that forgot an announcement is distinguished from one that forgot only that it was delivered: that one is handed out again, the
// other is lost.
func TestVerifyTellsWhetherTheAnnouncementIsLost(t *testing.T) {
	aliceAndBob(t, func(t *testing.T, w *harness) {
		lost, undelivered, others, kept := w.own(alice, "lost"), w.own(alice, "undelivered"), w.own(alice, "others"), w.own(alice, "kept")
		leases := []*Lease{lost, undelivered, others, kept}
		for _, l := range leases {
			w.Do("DEL", l.Key())
		}
		w.Do("XDEL", w.keys.Input, lost.Entry())
		w.Do("XACK", w.keys.Input, w.layout.Group(), lost.Entry(), undelivered.Entry())
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", others.Entry(), "JUSTID")
		w.forget()
		require.True(t, w.beat(alice).Settling)
		verdicts, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, leases, Savings{}))
		require.NoError(t, err)
		require.Equal(t, "gllk", verdicts)

		w.Do("FLUSHALL")
		w.beat(alice)
		verdicts, err = verdictsOf(w.store.Verify(w.ctx, 0, alice, leases, Savings{}))
		require.NoError(t, err)
		require.Equal(t, "gggg", verdicts, "there is not even a group")
	})
}

// What cannot be copied and was acknowledged by hand stays where it is. One dead letter refers to it, however often a call
// whose answer was lost is made again.
func TestRestoreRefersOnceToWhatCannotBeCopied(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		w.announce("large", "much", strings.Repeat("x", 20_000))
		l := w.take(alice, w.read(alice, 1)[0])
		w.Do("XACK", w.keys.Input, w.layout.Group(), l.Entry())
		item := Restorable{Disposition: back(l), Memory: l.Memory()}
		out, err := w.store.Restore(w.ctx, 0, alice, []Restorable{item})
		require.NoError(t, err)
		require.Equal(t, TooHeavy, out[0].Verdict)
		require.True(t, item.Redirect(out[0]))
		require.Equal(t, ToReference, item.Dest)
		require.Equal(t, "r", w.restore(alice, item))
		require.Equal(t, "r", w.restore(alice, item), "asked again after a lost answer")
		require.Equal(t, l.Entry(), w.fields(w.keys.DeadLetters)[FieldReference])
		require.Equal(t, 1, w.Num("XLEN", w.keys.DeadLetters))
		require.Equal(t, 1, w.Num("XLEN", w.keys.Input))
		require.Empty(t, w.value("large"))
	}, func(s *Settings) { s.MaxMove = 10_000 })
}
