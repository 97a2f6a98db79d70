package notice

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/test/notices"
)

// Trace: a server that failed over counted from 1 again. Its notices were taken for those of a quarter of an hour before, so
// its next failover was not prepared for, and its completion ended no window.
func TestNumbersThatBeginAgain(t *testing.T) {
	for name, c := range map[string]struct {
		reconnect bool          // before the new numbers
		wait      time.Duration // until the first of them, since the old ones and since the reconnection
		restarted bool
	}{
		"soon":                          {wait: late - 1},
		"later":                         {wait: late, restarted: true},
		"soon, on a new connection":     {reconnect: true, wait: late - 1},
		"much later, on a connection":   {wait: time.Hour, restarted: true},
		"a while after a reconnection":  {reconnect: true, wait: late, restarted: true},
		"much later after reconnecting": {reconnect: true, wait: 2 * remembered, restarted: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.since = a.now.Add(-time.Hour)
			a.take(">4 FAILING_OVER :1 :2 1")
			a.take(">3 FAILED_OVER :2 1")
			a.take(">4 MIGRATING :3 :2 1")
			a.take(">3 MIGRATED :4 1")
			if c.reconnect {
				a.since = a.now
			}
			a.pass(c.wait)
			changes := a.take(">4 FAILING_OVER :1 :2 1")
			if !c.restarted {
				require.Empty(t, changes)
				require.Zero(t, a.Generation())
				return
			}
			require.Len(t, changes, 1)
			require.True(t, changes[0].Open)
			require.Equal(t, 1, a.Generation())
			require.Empty(t, a.from("n2:1", ">4 FAILING_OVER :1 :2 1"), "another node")
			changes = a.take(">3 FAILED_OVER :2 1")
			require.Len(t, changes, 1)
			require.True(t, changes[0].Completed)
			require.Empty(t, a.Windows())
			require.Equal(t, 1, a.Generation(), "they go on")
		})
	}
}

// The failover that was announced makes the server lose count, so its completion has a low number. It ends the window.
func TestTheFailoverItselfRestartsTheNumbers(t *testing.T) {
	a := newAccount(t)
	a.take(">3 MIGRATED :499 1")
	a.pass(time.Minute)
	a.take(">4 FAILING_OVER :500 :2 1")
	a.take(">4 MIGRATING :501 :2 2")
	a.pass(5 * s)
	changes := a.take(">3 FAILED_OVER :1 1")
	require.Len(t, changes, 1)
	require.True(t, changes[0].Completed)
	require.Len(t, a.Windows(), 1)
	require.Empty(t, a.from("n2:1", ">4 FAILING_OVER :500 :2 1"), "late, of the sequence before")
	require.Len(t, a.take(">3 MIGRATED :2 2"), 1, "the other window of that sequence ends, too")
	require.Empty(t, a.Windows())
}

// What a server repeats on a new connection is old, however long it takes, wherever it comes from and whatever else says so.
func TestWhatIsRepeatedOnANewConnectionIsOld(t *testing.T) {
	a := newAccount(t)
	a.take(">4 MOVING :5 :10 _")
	a.take(">4 FAILING_OVER :10 :2 1")
	a.take(">3 FAILED_OVER :11 1")
	a.take(">4 FAILING_OVER :12 :2 2")
	a.pass(5 * time.Minute)
	for range 3 {
		a.since = a.now
		a.pass(replayed + 1)
		for _, node := range []string{"n1:1", "n2:1", "n3:1"} {
			for _, text := range []string{">4 MOVING :5 :10 _", ">4 FAILING_OVER :10 :2 1", ">3 FAILED_OVER :11 1", ">4 FAILING_OVER :9 :2 1"} {
				require.Empty(t, a.from(node, text), text)
			}
		}
	}
	require.Zero(t, a.Generation())
}

// A number that is far too high counts for one that is lost: the others begin again after it.
func TestAWildNumberStopsNothing(t *testing.T) {
	a := newAccount(t)
	a.take(">4 FAILING_OVER :9000000000000000000 :2 9")
	a.pass(late)
	require.Len(t, a.take(">4 FAILING_OVER :7 :2 1"), 1)
	require.Len(t, a.take(">3 FAILED_OVER :8 1"), 1)
	require.Len(t, a.take(">4 FAILING_OVER :9 :2 1"), 1)
	require.Equal(t, 1, a.Generation())
}

// sending is a notice of the model's database.
type sending struct {
	Notice
	at     time.Time
	counts int // how often it had an effect
}

// arrival is a sending on its way to one connection.
type arrival struct {
	*sending
	at    time.Time
	node  int
	since time.Time // of the connection that it was sent on
}

// database is a model of a database whose nodes announce everything, each at its own time. It loses count now and then, and
// connections break. New ones are given anything of the last minutes again.
type database struct {
	r       *rapid.T
	tracker *Tracker
	now     time.Time
	seq     int64
	since   [3]time.Time
	sent    []*sending
	due     []arrival
	recent  []arrival // what arrived
}

func (d *database) send(n Notice) {
	d.seq++
	n.Seq = d.seq
	x := &sending{Notice: n, at: d.now}
	d.sent = append(d.sent, x)
	for node, since := range d.since {
		if rapid.IntRange(0, 5).Draw(d.r, "lost") == 0 {
			continue
		}
		at := d.now.Add(time.Duration(rapid.IntRange(0, int(late/time.Millisecond)-1).Draw(d.r, "late")) * time.Millisecond)
		d.due = append(d.due, arrival{x, at, node, since})
	}
}

// reconnect makes a connection again. The node repeats what it likes, soon after.
func (d *database) reconnect(node int) {
	d.since[node] = d.now
	for _, x := range d.sent {
		if d.now.Sub(x.at) < remembered-2*late && rapid.IntRange(0, 3).Draw(d.r, "repeated") == 0 {
			at := d.now.Add(time.Duration(rapid.IntRange(0, int(late/time.Millisecond)-1).Draw(d.r, "after")) * time.Millisecond)
			d.due = append(d.due, arrival{x, at, node, d.now})
		}
	}
}

// pass lets time pass, in which notices arrive.
func (d *database) pass(by time.Duration) {
	until := d.now.Add(by)
	for {
		slices.SortStableFunc(d.due, func(a, b arrival) int { return a.at.Compare(b.at) })
		if len(d.due) == 0 || d.due[0].at.After(until) {
			break
		}
		a := d.due[0]
		d.due = d.due[1:]
		d.now = a.at
		d.tracker.Expire(d.now)
		if a.since == d.since[a.node] {
			d.arrive(a)
			d.recent = append(d.recent, a)
		}
	}
	d.now = until
	d.tracker.Expire(d.now)
}

func (d *database) arrive(a arrival) {
	_, effect := d.tracker.Take(d.now, strconv.Itoa(a.node), a.since, a.Notice)
	if effect == Began || effect == Ended {
		a.counts++
		require.Equal(d.r, 1, a.counts, "%v %d counts once", a.Kind, a.Seq)
		return
	}
	d.recent = slices.DeleteFunc(d.recent, func(b arrival) bool { return d.now.Sub(b.at) >= late })
	quiet := !slices.ContainsFunc(d.recent, func(b arrival) bool { return b.sending != a.sending })
	standing := d.now.Sub(a.since) >= late && d.now.Sub(a.sending.at) < late
	require.False(d.r, quiet && standing && a.counts == 0, "%v %d is new, and was %v", a.Kind, a.Seq, effect)
}

// Whatever is late, lost, repeated, and numbered again: no notice counts twice, and none that comes after a quiet time on a
// connection that has stood for a while is missed.
func TestNumbersAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		d := &database{r: r, tracker: NewTracker(DefaultMaxWindow), now: start}
		for i := range d.since {
			d.since[i] = start.Add(-time.Hour)
		}
		d.seq = int64(rapid.SampledFrom([]int{0, 500}).Draw(r, "first"))
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 7).Draw(r, "what") {
			case 0:
				d.seq = 0
			case 1:
				d.reconnect(rapid.IntRange(0, 2).Draw(r, "node"))
			case 2, 3:
				d.pass(time.Duration(rapid.IntRange(0, 100_000).Draw(r, "ms")) * time.Millisecond)
			default:
				d.send(Notice{
					Kind:   rapid.SampledFrom([]Kind{Moving, Migrating, Migrated, FailingOver, FailedOver}).Draw(r, "kind"),
					Shards: rapid.SampledFrom([][]string{nil, {"1"}, {"2"}, {"1", "2"}}).Draw(r, "shards"),
				})
				if rapid.Bool().Draw(r, "ends") {
					d.pass(time.Second)
				}
			}
			require.LessOrEqual(r, len(d.tracker.numbers.passed), int(late/passingGap)+2)
		}
		d.pass(2 * late)
	})
}

// A server that fails over behind its address counts from 1 again. Connections to it are made again, and its notices count as
// soon as nothing old can arrive there any more. Moves are followed likewise.
func TestWatcherRecognizesNumbersThatBeginAgain(t *testing.T) {
	watch(t, 2, Config{}, rueidis.ClientOption{}, func(p *party) {
		a, b := p.nodes["a:1"], p.nodes["b:1"]
		everyNode := func(text string) []Effect {
			for _, n := range []*notices.Node{a, b} {
				require.Equal(t, 1, n.Push(wire(text, true)))
				synctest.Wait()
			}
			return p.effects()
		}
		p.pass(time.Minute)
		require.Equal(t, []Effect{Began, Repeated}, everyNode(">4 FAILING_OVER :1 :2 1"))
		require.Equal(t, []Effect{Ended, Repeated}, everyNode(">3 FAILED_OVER :2 1"))
		require.Equal(t, []Effect{Began, Repeated}, everyNode(">4 MOVING :3 :2 _"))
		a.Drop()
		b.Drop()
		p.pass(5 * time.Second)
		require.Equal(t, []Effect{Repeated, Repeated}, everyNode(">4 FAILING_OVER :1 :2 1"), "it may be repeated")
		p.told()
		p.pass(late)
		require.Equal(t, []Effect{Began, Repeated}, everyNode(">4 FAILING_OVER :1 :2 1"))
		require.Equal(t, []Effect{Ended, Repeated}, everyNode(">3 FAILED_OVER :2 1"))
		require.Equal(t, []Effect{Began, Repeated}, everyNode(">4 MOVING :3 :2 _"))
		p.pass(5 * time.Second)
		_, dialled := p.told()
		require.ElementsMatch(t, []string{"a:1", "b:1"}, dialled, "both have moved again")
	})
}

// After a pause of this process, what a connection still has to deliver may be as old as the pause is long.
func TestAConnectionThatWasHeldUpCountsAsNew(t *testing.T) {
	watch(t, 0, Config{}, rueidis.ClientOption{}, func(p *party) {
		a := notices.New(notices.Options{})
		p.note(func() { p.stalls, p.nodes["a:1"], p.names = true, a, []string{"a:1"} })
		p.pass(time.Minute)
		a.Push(wire(">4 FAILING_OVER :1 :2 1", true))
		a.Push(wire(">3 FAILED_OVER :2 1", true))
		synctest.Wait()
		require.Equal(t, []Effect{Began, Ended}, p.effects())
		a.Set(notices.Options{Mute: true})
		p.pass(time.Minute)
		a.Set(notices.Options{})
		a.Push(wire(">4 FAILING_OVER :1 :2 1", true))
		synctest.Wait()
		require.Equal(t, []Effect{Repeated}, p.effects())
		p.pass(late)
		require.Equal(t, 1, a.Listening(), "on the same connection")
		require.Len(t, clientCommands(a), 1)
		a.Push(wire(">4 FAILING_OVER :1 :2 1", true))
		synctest.Wait()
		require.Equal(t, []Effect{Began}, p.effects())
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Len(t, p.noticed, 4, "each was reported before it counted")
	})
}
