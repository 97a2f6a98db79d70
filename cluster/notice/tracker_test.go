package notice

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/cluster"
)

// account is a tracker with a clock that a test sets.
type account struct {
	*Tracker
	t     *testing.T
	now   time.Time
	since time.Time // of the opt-in of every node
}

func newAccount(t *testing.T) *account {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return &account{Tracker: NewTracker(DefaultMaxWindow), t: t, now: start, since: start.Add(-time.Minute)}
}

func (a *account) take(text string) []Change { return a.from("n1:1", text) }

func (a *account) from(node, text string) []Change {
	a.t.Helper()
	all := readAll(a.t, wire(text, false))
	n, ok := parse(&all[0])
	require.True(a.t, ok, text)
	changes, _ := a.Take(a.now, node, a.since, n)
	return changes
}

// pass lets time pass, and returns what that changed.
func (a *account) pass(d time.Duration) []Change {
	a.now = a.now.Add(d)
	return a.Expire(a.now)
}

func (a *account) left() (left []time.Duration) {
	for _, w := range a.Windows() {
		left = append(left, w.Until.Sub(a.now))
	}
	return left
}

const s = time.Second

// Windows of 2 s occur, and times in the past; windows longer than MaxWindow would keep a dead process alive for too long.
// A window with a completion waits for it, for at most three times its length.
func TestWindowsAreClampedAndCapped(t *testing.T) {
	for text, want := range map[string]struct{ length, until time.Duration }{
		">4 MOVING :7 :15 _":           {15 * s, 15 * s},
		">4 MOVING :7 :2 _":            {10 * s, 10 * s},
		">4 MOVING :7 :0 _":            {10 * s, 10 * s},
		">4 MOVING :7 :-20 _":          {10 * s, 10 * s},
		">1 MOVING":                    {10 * s, 10 * s},
		">4 MOVING :7 :9999999999 _":   {30 * s, 30 * s},
		">4 MIGRATING :8 :2 1":         {10 * s, 30 * s},
		">4 FAILING_OVER :8 :20 1":     {20 * s, 60 * s},
		">4 FAILING_OVER :8 :86400 1":  {30 * s, 90 * s},
		">3 SMIGRATING :8 1,2,100-200": {10 * s, 30 * s},
	} {
		a := newAccount(t)
		changes := a.take(text)
		require.Len(t, changes, 1, text)
		require.True(t, changes[0].Open, text)
		w := changes[0].Window
		require.Equal(t, want.length, w.Length, text)
		require.Equal(t, want.until, w.Until.Sub(a.now), text)
		at, open := a.Next()
		require.True(t, open)
		require.Equal(t, w.Until, at)

		require.Empty(t, a.pass(want.until-1), text)
		changes = a.pass(1)
		require.Len(t, changes, 1, text)
		require.False(t, changes[0].Open)
		require.False(t, changes[0].Completed, "its time was up")
		_, open = a.Next()
		require.False(t, open)
	}
}

// Every node announces everything, in any order, and again after a reconnect.
func TestWhatIsToldTwiceCountsOnce(t *testing.T) {
	a := newAccount(t)
	require.Len(t, a.from("n1:1", ">4 FAILING_OVER :10 :2 1"), 1)
	require.Empty(t, a.from("n2:1", ">4 FAILING_OVER :10 :2 1"))
	require.Empty(t, a.from("n1:1", ">4 FAILING_OVER :10 :2 1"))
	require.Len(t, a.Windows(), 1)
	require.Equal(t, "n1:1", a.Windows()[0].Node)

	a.pass(3 * s)
	changes := a.from("n2:1", ">3 FAILED_OVER :11 1")
	require.Len(t, changes, 1)
	require.True(t, changes[0].Completed)
	require.Empty(t, a.from("n1:1", ">3 FAILED_OVER :11 1"))
	require.Empty(t, a.from("n3:1", ">4 FAILING_OVER :10 :2 1"), "announced late by a third node: it is over")
	require.Empty(t, a.Windows())

	require.Len(t, a.from("n1:1", ">3 MOVING :12 :15"), 1)
	a.pass(15 * s)
	require.Empty(t, a.from("n1:1", ">3 MOVING :12 :15"), "after a reconnect")
	require.Len(t, a.from("n1:1", ">3 MOVING :13 :15"), 1, "another one")
}

// A beginning that is first announced after its completion opens nothing, or only what was not completed.
func TestABeginningThatIsLateOpensOnlyWhatIsLeft(t *testing.T) {
	a := newAccount(t)
	a.take(">3 MIGRATED :9 1")
	require.Empty(t, a.take(">4 MIGRATING :8 :2 1"))
	a.take(">4 MIGRATING :7 :2 1,2")
	require.Equal(t, []string{"2"}, a.Windows()[0].Shards)
	a.take(">3 SMIGRATED :20 *1 *3 a:1 b:1 5-9")
	require.Empty(t, a.take(">3 SMIGRATING :19 6,7"))
}

// A start and its end share no number: an end covers all earlier starts of its kind, for the shards and slots it names.
func TestCompletionsEndWhatTheyName(t *testing.T) {
	a := newAccount(t)
	a.take(">4 MIGRATING :8 :2 1,2")
	a.take(">4 FAILING_OVER :9 :2 1")
	require.Len(t, a.Windows(), 2)
	require.Empty(t, a.take(">3 MIGRATED :10 1"), "2 goes on")
	require.Equal(t, []string{"2"}, a.Windows()[0].Shards)
	changes := a.take(">3 MIGRATED :11 7")
	require.Len(t, changes, 1, "of a beginning that was missed")
	require.True(t, changes[0].Completed)
	require.Len(t, a.Windows(), 2)
	require.Len(t, a.take(">3 MIGRATED :12 2"), 1)
	require.Len(t, a.take(">2 FAILED_OVER :13"), 1, "it names no shards: of all")
	require.Empty(t, a.Windows())

	a.take(">3 MIGRATING :14 :2")
	require.Len(t, a.take(">3 MIGRATED :15 1"), 1, "of a beginning that named no shards")
	require.Empty(t, a.Windows())

	a.take(">4 MIGRATING :20 :2 1")
	require.Len(t, a.take(">3 MIGRATED :19 1"), 1, "of an earlier one")
	require.Len(t, a.Windows(), 1)
}

func TestSlotsEndTheirWindowBitByBit(t *testing.T) {
	a := newAccount(t)
	a.take(">3 SMIGRATING :16 123,456,5000-7000")
	w := a.Windows()[0]
	require.True(t, w.Covers(123))
	require.True(t, w.Covers(6000))
	require.False(t, w.Covers(124))
	changes := a.take(">3 SMIGRATED :17 *1 *3 a:6379 b:6379 123,5000-7000")
	require.Len(t, changes, 1)
	require.True(t, changes[0].Completed)
	require.True(t, changes[0].Partial)
	require.Equal(t, parseSlots("123,5000-7000"), changes[0].Window.Slots, "of these alone")
	w = a.Windows()[0]
	require.True(t, w.Covers(456))
	require.False(t, w.Covers(123))
	changes = a.take(">3 SMIGRATED :18 *1 *3 a:6379 b:6379 456-458")
	require.Empty(t, a.Windows())
	require.Len(t, changes, 2)
	require.False(t, changes[0].Partial)
	require.Equal(t, parseSlots("456"), changes[0].Window.Slots, "what was left of the window")
	require.Equal(t, parseSlots("457-458"), changes[1].Window.Slots, "what no window covered")

	a.take(">3 SMIGRATING :19 ?")
	w = a.Windows()[0]
	require.True(t, w.Covers(9), "unknown which: all")
	a.take(">4 MOVING :20 :15 a:1")
	w = a.Windows()[1]
	require.True(t, w.Covers(9), "the sender is often not the one affected")
}

// A server repeats its last completion to whoever opts in; some were three hours old.
func TestOldCompletionsAreNotBelievedRightAfterTheOptIn(t *testing.T) {
	a := newAccount(t)
	a.since = a.now
	require.Empty(t, a.take(">3 MIGRATED :9 1"))
	a.pass(replayed - 1)
	require.Empty(t, a.take(">3 FAILED_OVER :11 1"))

	// It may still be new: it ends a window that another node has announced.
	a.take(">4 FAILING_OVER :12 :2 1")
	require.Empty(t, a.take(">3 FAILED_OVER :11 1"), "not this one")
	require.Empty(t, a.take(">3 FAILED_OVER :13 2"), "nor this")
	require.Len(t, a.take(">3 FAILED_OVER :14 1"), 1)
	require.Empty(t, a.Windows())

	a.pass(1)
	require.Len(t, a.take(">3 MIGRATED :9 1"), 1, "announced later by another node, it is new")
}

// Trace: the slots of a completed window were taken out of it, and a window without slots covers all of them, so the end of
// every move of slots had everything renewed.
func TestTheEndOfAWindowCoversWhatTheWindowDid(t *testing.T) {
	for _, c := range []struct{ begun, ended, want string }{
		{"100-200", "100-200", "100-200"},
		{"100-200", "?", "100-200"},
		{"100-200", "90-210", "90-210"},
		{"?", "100-200", "0-16383"},
		{"?", "?", "0-16383"},
	} {
		a := newAccount(t)
		a.take(">3 SMIGRATING :16 " + c.begun)
		covered := cluster.SlotSet{}
		for _, ended := range a.take(">3 SMIGRATED :17 *1 *3 a:1 b:1 " + c.ended) {
			require.True(t, ended.Completed)
			for slot := range uint16(cluster.Slots) {
				if ended.Window.Covers(slot) {
					require.False(t, covered.Has(slot), "slot %d is reported twice", slot)
					covered.AddRange(slot, slot)
				}
			}
		}
		require.Equal(t, parseSlots(c.want), covered, "%+v", c)
		require.Empty(t, a.Windows())
	}
}

func TestWhatIsAnnouncedAnewIsOneWindow(t *testing.T) {
	a := newAccount(t)
	a.take(">4 MIGRATING :8 :2 1")
	a.pass(20 * s)
	require.Len(t, a.take(">4 MIGRATING :9 :5 1"), 1, "announced again")
	require.Len(t, a.Windows(), 1)
	require.Equal(t, []time.Duration{30 * s}, a.left())
	require.Empty(t, a.take(">4 MIGRATING _ :30 1"), "without a number it is not new")
	require.Equal(t, []time.Duration{90 * s}, a.left(), "but it lasts longer")
}

// Whatever a server sends, the memory for it is bounded.
func TestAFloodOfNoticesIsBounded(t *testing.T) {
	a := newAccount(t)
	for seq := range int64(maxSeen + 100) {
		n := Notice{Kind: Migrating, Seq: seq, Shards: []string{strconv.FormatInt(seq, 10)}}
		if seq%64 == 0 {
			n.Kind = FailedOver
		}
		a.Take(a.now, "n1:1", a.since, n)
		if len(a.windows) > maxWindows || len(a.ended) > maxWindows || len(a.seen) > maxSeen {
			t.Fatalf("%d windows, %d completions, %d numbers", len(a.windows), len(a.ended), len(a.seen))
		}
	}
	require.NotEmpty(t, a.Windows())
	a.pass(longest * MinWindow)
	require.Empty(t, a.Windows())
	a.pass(2 * remembered)
	a.take(">3 MOVING :1 :1")
	require.Len(t, a.seen, 1, "the rest is forgotten")
}

// Random notices from several nodes, with repetitions: every window reported as open is later reported as ended, once, none
// is open beyond its time, and every one has a length within the limits.
func TestTrackerAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tracker := NewTracker(DefaultMaxWindow)
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		since := now.Add(-time.Hour)
		opened := 0
		tell := func(changes []Change) {
			for _, c := range changes {
				switch {
				case c.Open:
					opened++
					require.GreaterOrEqual(r, c.Window.Length, MinWindow)
					require.LessOrEqual(r, c.Window.Length, DefaultMaxWindow)
					require.LessOrEqual(r, c.Window.Until.Sub(now), longest*DefaultMaxWindow)
				case !c.Completed:
					require.False(r, now.Before(c.Window.Until), "before its time, and by no notice")
				}
			}
		}
		names := []string{"1", "2", "3"}
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "what") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(r, "ms")) * time.Millisecond)
				tell(tracker.Expire(now))
			default:
				n := Notice{
					Kind: Kind(rapid.IntRange(1, int(SlotsMoved)).Draw(r, "kind")),
					Seq:  int64(rapid.IntRange(-1, 20).Draw(r, "seq")),
					In:   time.Duration(rapid.IntRange(-5, 100).Draw(r, "in")) * time.Second,
				}
				n.Shards = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID).Draw(r, "shards")
				if n.Kind == SlotsMoving || n.Kind == SlotsMoved {
					n.Slots = parseSlots(rapid.SampledFrom([]string{"", "1", "1-5", "5-9"}).Draw(r, "slots"))
				}
				changes, _ := tracker.Take(now, "n", since, n)
				tell(changes)
				if n.Seq >= 0 {
					before := tracker.Windows()
					changes, effect := tracker.Take(now, "m", since, n)
					require.Empty(r, changes, "again, from another node")
					require.Contains(r, []Effect{Repeated, Outdated}, effect)
					require.Equal(r, before, tracker.Windows())
				}
			}
			for _, w := range tracker.Windows() {
				require.False(r, now.After(w.Until.Add(40*time.Second)), "only Expire ends it")
			}
		}
		now = now.Add(longest * DefaultMaxWindow)
		tell(tracker.Expire(now))
		require.Empty(r, tracker.Windows())
	})
}
