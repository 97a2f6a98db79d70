package scan_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

const (
	podA = "pod-a.ABCDEFGHIJKL"
	podB = "pod-b.ABCDEFGHIJKL"
)

func (f *fleet) story(stream string) scan.Story {
	f.t.Helper()
	s, err := f.inspector().Story(f.ctx, stream)
	require.NoError(f.t, err)
	_, err = json.Marshal(s)
	require.NoError(f.t, err)
	return s
}

// readOf announces a stream and delivers it.
func (f *fleet) readOf(consumer, stream string, more ...string) *lease.Entry {
	f.t.Helper()
	f.announce(0, stream, more...)
	return f.read(0, consumer, 1)[0]
}

// idle makes an announcement look pending for that long.
func (f *fleet) idle(consumer string, e *lease.Entry, idle time.Duration) {
	f.t.Helper()
	f.Do("XCLAIM", f.layout.Keys(0).Input, f.layout.Group(), consumer, "0", e.ID, "IDLE", strconv.FormatInt(idle.Milliseconds(), 10), "JUSTID")
}

// Each state, and each reason for it, on one server: a stream a case. What concerns everybody comes last.
func TestStory(t *testing.T) {
	f := newFleet(t, 1)
	k := f.layout.Keys(0)
	f.open(0, podA)
	f.open(0, podB)
	for _, test := range []struct {
		name  string
		set   func(stream string)
		state scan.StreamState
		why   []string
		check func(t *testing.T, s scan.Story)
	}{
		{"owned", func(s string) { f.idle(podA, f.own(podA, s), 3*time.Hour) }, scan.StreamOwned,
			[]string{"owned by " + podA + " since ", "(3 hours ago) and renewed", "at work or hangs", "look at the process of " + podA},
			func(t *testing.T, s scan.Story) {
				require.Len(t, s.Entries, 1)
				require.Equal(t, podA, s.Entries[0].Consumer)
				require.InDelta(t, 3*time.Hour.Seconds(), s.Entries[0].Idle.Seconds(), 30)
				require.WithinDuration(t, s.Ownership.At, s.Entries[0].Announced, time.Minute)
				require.Equal(t, -1, s.Ahead)
				require.Nil(t, s.Owner)
			}},
		{"owned by one that is behind", func(s string) {
			f.own(podB, s)
			f.member(0, podB, "2000 3 1700000000000 behind", "")
			f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "pod-b", For: time.Hour})
		}, scan.StreamOwned, []string{"is behind with its handlers"}, func(t *testing.T, s scan.Story) {
			require.Equal(t, scan.BalanceBehind, s.Owner.State)
			require.Equal(t, "pod-b", s.Owner.ConsumerID)
			require.Equal(t, 3, s.Owner.Held)
			require.False(t, s.Owner.Dead)
			require.Len(t, s.Owner.Wishes, 1)
		}},
		{"owned by one that is evacuating", func(s string) {
			f.own(podB, s)
			f.member(0, podB, "1000 3 0 evacuating", "")
		}, scan.StreamOwned, []string{"hands back what it holds"}, nil},
		{"owned by one that is draining", func(s string) {
			f.own(podB, s)
			f.member(0, podB, "1000 3 0 draining", "")
		}, scan.StreamOwned, []string{"shutting down"}, nil},
		{"owned, acknowledged by hand", func(s string) {
			f.Do("XACK", k.Input, f.layout.Group(), f.own(podA, s).ID)
		}, scan.StreamOwned, []string{"not pending any more", "restores it"}, func(t *testing.T, s scan.Story) { require.False(t, s.Entries[0].Stranded) }},
		{"owned, another waits", func(s string) {
			f.own(podA, s)
			e := f.readOf(podB, s)
			require.Equal(t, lease.HeldByOne, f.take(0, podB, e)[0].Verdict)
		}, scan.StreamOwned, []string{"A later announcement waits"}, func(t *testing.T, s scan.Story) {
			require.Len(t, s.Entries, 2)
			require.Equal(t, s.Ownership.Waiting, s.Entries[1].ID)
		}},
		{"owned by one that was killed", func(s string) {
			f.open(0, "gone.ABCDEFGHIJKL")
			f.own("gone.ABCDEFGHIJKL", s)
			f.setDeadline(0, "gone.ABCDEFGHIJKL", f.Now()-120_000)
		}, scan.StreamOwned, []string{"whose session ended", "2 minutes ago", "about to be recovered"}, nil},
		{"owned by one that closed", func(s string) {
			f.open(0, "closed.ABCDEFGHIJKL")
			f.own("closed.ABCDEFGHIJKL", s)
			f.setDeadline(0, "closed.ABCDEFGHIJKL", 0)
		}, scan.StreamOwned, []string{"whose session was closed", "about to be recovered"}, nil},
		{"owned by a stranger", func(s string) {
			f.Do("SET", k.Lease(s), "\xff\x1b[31m<b> 7 1-1")
		}, scan.StreamOwned, []string{`owned by "\xff\x1b[31m<b>", whose session is not there`}, nil},
		{"read a moment ago", func(s string) { f.readOf(podA, s) }, scan.StreamRead,
			[]string{"was read at ", "by " + podA + ", which does not own it", "about to be acquired"}, nil},
		{"parked", func(s string) { f.idle(podA, f.readOf(podA, s, "_retry_count", "2", "_crash_count", "1"), time.Hour) }, scan.StreamRead,
			[]string{"(60 minutes ago)", "It is parked there"}, func(t *testing.T, s scan.Story) {
				require.Equal(t, []int{2, 1}, []int{s.Entries[0].Retries, s.Entries[0].Crashes})
			}},
		{"read by one that was killed", func(s string) {
			f.open(0, "late.ABCDEFGHIJKL")
			f.readOf("late.ABCDEFGHIJKL", s)
			f.setDeadline(0, "late.ABCDEFGHIJKL", 1)
		}, scan.StreamRead, []string{"session of that one has ended", "about to be recovered"}, nil},
		{"delayed", func(s string) {
			r := moveTo(f.readOf(podA, s), lease.ToLater, "")
			r.At = f.Now() + 3*3_600_000 + 60_000
			f.requeue(0, podA, r)
		}, scan.StreamDelayed, []string{"delayed by its producer or its handler until ", "(in 3 hours)", "Bring it forward"}, func(t *testing.T, s scan.Story) {
			require.Len(t, s.Delayed, 1)
			require.Equal(t, s.Ownership.Stream, s.Delayed[0].Stream)
		}},
		{"delayed after retries", func(s string) {
			r := moveTo(f.readOf(podA, s), lease.ToLater, "")
			r.At, r.Retries = f.Now()+3_600_000, 1
			f.requeue(0, podA, r)
		}, scan.StreamDelayed, []string{"after 1 retry until"}, nil},
		{"delayed after crashes", func(s string) {
			r := moveTo(f.readOf(podA, s), lease.ToLater, "")
			r.At, r.Retries, r.Crashes = f.Now()+3_600_000, 0, 2
			f.requeue(0, podA, r)
		}, scan.StreamDelayed, []string{"after 2 crashes of its owners and 0 retries until"}, nil},
		{"due", func(s string) {
			r := moveTo(f.readOf(podA, s), lease.ToLater, "")
			r.At = f.Now() + 3_600_000
			f.requeue(0, podA, r)
			for _, m := range f.laterMembers() {
				if strings.Contains(m, s) {
					f.Do("ZADD", k.Later, "1", m)
				}
			}
		}, scan.StreamDelayed, []string{"is due since", "about to be handed out"}, nil},
		{"dead", func(s string) {
			r := moveTo(f.readOf(podA, s), lease.ToDeadLetters, "retries: \x1b[31m<b>\u202e")
			r.Retries = 4
			f.requeue(0, podA, r)
		}, scan.StreamDead, []string{"given up", "a moment ago", `"retries: \x1b[31m<b>\u202e"`, "after 4 retries and 0 crashes", "sends it back"},
			func(t *testing.T, s scan.Story) { require.Len(t, s.Letters, 1) }},
		{"dead before, and owned", func(s string) {
			f.requeue(0, podA, moveTo(f.readOf(podA, s), lease.ToDeadLetters, "permanent: x"))
			f.own(podA, s)
		}, scan.StreamOwned, []string{"at work or hangs", "also has a dead letter", `"permanent: x"`}, nil},
		{"dead by reference", func(s string) {
			text, err := lease.EncodeAnnouncement(s, nil)
			require.NoError(t, err)
			id := f.refer(lease.FieldAnnouncement, text)
			require.NotEmpty(t, id)
		}, scan.StreamDead, []string{"too_large"}, func(t *testing.T, s scan.Story) {
			require.Equal(t, s.Letters[0].Reference, s.Entries[0].ID)
			require.False(t, s.Entries[0].Stranded)
		}},
		{"stranded", func(s string) {
			f.Do("XACK", k.Input, f.layout.Group(), f.readOf(podA, s).ID)
		}, scan.StreamStranded, []string{"neither pending nor undelivered", "Reannounce it"}, func(t *testing.T, s scan.Story) { require.True(t, s.Entries[0].Stranded) }},
		{"done", func(s string) {
			f.Do("HSET", k.Checkpoints, "s"+s, fmt.Sprintf("7 d%d f1 5-0 rest", f.Now()-86_400_000*3))
		}, scan.StreamDone, []string{"done", "3 days ago", "Announce it again"}, func(t *testing.T, s scan.Story) {
			require.Equal(t, api.Token(7), s.Checkpoint.Token)
			require.Equal(t, "f1 5-0 rest", s.Checkpoint.Value)
			require.WithinDuration(t, s.Ownership.At.Add(-72*time.Hour), s.Checkpoint.DoneAt, time.Minute)
		}},
		{"done after it was dead", func(s string) {
			f.requeue(0, podA, moveTo(f.readOf(podA, s), lease.ToDeadLetters, "permanent: x"))
			f.Do("HSET", k.Checkpoints, "s"+s, fmt.Sprintf("7 d%d x", f.Now()+1000))
		}, scan.StreamDone, []string{"It was done", "also has a dead letter"}, nil},
		{"lost", func(s string) { f.Do("HSET", k.Checkpoints, "s"+s, "7 v x") }, scan.StreamUnknown, []string{"lost with a server"},
			func(t *testing.T, s scan.Story) { require.Zero(t, s.Checkpoint.DoneAt) }},
		{"unknown", func(string) {}, scan.StreamUnknown, []string{"Redis has nothing of it", "Check the name"}, func(t *testing.T, s scan.Story) {
			require.Equal(t, scan.Story{Ownership: s.Ownership, State: s.State, Why: s.Why, Ahead: -1}, s)
		}},
		{"waiting", func(s string) {
			for range 3 {
				f.announce(0, "other")
			}
			f.announce(0, s)
			f.announce(0, s)
		}, scan.StreamWaiting, []string{"was not delivered yet; 3 announcements are ahead of it", "see Balance"}, func(t *testing.T, s scan.Story) {
			require.Equal(t, 3, s.Ahead)
			require.Len(t, s.Entries, 2)
			require.Empty(t, s.Entries[0].Consumer)
		}},
		{"waiting, all are full", func(s string) {
			f.announce(0, s)
			for _, m := range []string{podA, podB, "worker.1"} {
				f.member(0, m, "1000 3 0 full", "")
			}
		}, scan.StreamWaiting, []string{"None of the 3 consumers of partition 0 takes streams (3 full)"}, nil},
		{"waiting while the partition settles", func(s string) {
			f.announce(0, s)
			f.settle()
		}, scan.StreamWaiting, []string{"was replaced or restarted", "nobody takes a stream there until", "(in "}, func(t *testing.T, s scan.Story) {
			require.WithinDuration(t, s.Ownership.At.Add(fleetSessionTTL), s.Settling, 5*time.Second)
			settling, err := f.inspector().Settling(f.ctx)
			require.NoError(t, err)
			require.Equal(t, map[int]time.Time{0: s.Settling}, settling)
		}},
		{"waiting, nobody is alive", func(s string) {
			f.announce(0, s)
			f.endSessions()
		}, scan.StreamWaiting, []string{"No consumer of partition 0 is alive"}, nil},
	} {
		stream := "{chat}:" + strings.ReplaceAll(test.name, " ", "/") + ":é"
		test.set(stream)
		s := f.story(stream)
		require.Equal(t, test.state, s.State, "%s: %s", test.name, s.Why)
		for _, text := range test.why {
			require.Contains(t, s.Why, text, test.name)
		}
		require.Equal(t, stream, s.Ownership.Stream)
		require.Empty(t, s.Unread)
		require.NotContains(t, s.Why, "  ")
		if test.check != nil {
			test.check(t, s)
		}
	}
	// What the end of all sessions means for those from before.
	for name, want := range map[string]string{"owned": "whose session ended", "parked": "No consumer of partition 0 is alive", "due": "No consumer of partition 0 is alive"} {
		require.Contains(t, f.story("{chat}:"+name+":é").Why, want)
	}
}

// laterMembers returns what is delayed in partition 0.
func (f *fleet) laterMembers() []string {
	f.t.Helper()
	all, err := f.Try("ZRANGE", f.layout.Keys(0).Later, "0", "-1").AsStrSlice()
	require.NoError(f.t, err)
	return all
}

// settle has partition 0 settle from now on, as if its server had been replaced.
func (f *fleet) settle() {
	f.t.Helper()
	k := f.layout.Keys(0)
	f.Do("EVAL", `for _, m in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(-inf', '(0')) do
		if string.sub(m, 1, 5) == '!run:' then redis.call('ZADD', KEYS[1], -ARGV[1], m) end end`, "1", k.Sessions, strconv.FormatInt(f.Now(), 10))
}
