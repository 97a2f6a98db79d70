package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

const mebibyte = 1 << 20

// bulky is the body of an announcement with an Info of a little less than so many bytes.
func bulky(stream string, bytes int) []rueidis.XRangeFieldValue {
	text := fmt.Sprintf(`{"DataStreamName":%q,"Info":"%s"}`, stream, strings.Repeat("x", bytes-1000))
	return []rueidis.XRangeFieldValue{{Field: lease.FieldAnnouncement, Value: text}}
}

// 1,000 announcements of 1 MiB cost a reader 2.4 GB: nothing but a number bounded what it read, and it went on reading while
// Redis took no acquisitions.
func TestWhatIsReadAndNotTakenIsBoundedInBytes(t *testing.T) {
	const partitions, each = 4, 8
	bubble(t, partitions, func(t *testing.T, w *world) {
		e := w.newEngine(WithReadMemory(MinReadMemory))
		e.fake.onlyOp(faultError, "acquire")
		for p := range partitions {
			for i := range each {
				w.server.add(p, bulky(w.streamIn(p, i), mebibyte))
			}
		}
		e.run1(func(ctx context.Context) error { return e.Run(ctx, e) })
		pass(time.Minute)
		_, pending, _, _ := w.server.count()
		// Half of the memory, the entry that ends each read, and the one that each reader waited for.
		require.LessOrEqual(t, pending, MinReadMemory/2/mebibyte+2*partitions)
		require.GreaterOrEqual(t, pending, MinReadMemory/2/mebibyte)
		e.fake.setFault(nil)
		pass(20 * time.Second)
		require.Equal(t, partitions*each, e.Stats().Held, "and all are taken in the end")
		require.Zero(t, e.reading.mu.used)
	})
}

// Small ones are read by the batch, as before.
func TestSmallAnnouncementsAreReadByTheBatch(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		w.server.announce(streams(5000)...)
		e := w.start(nil)
		pass(time.Second)
		require.Equal(t, 5000, e.Stats().Held)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "read on"), 6)
	})
}

// 10,000 parked announcements of 1 MiB would have been 10 GB.
func TestWhatIsParkedIsBoundedInBytes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 12
		e := w.start(nil, WithReadMemory(MinReadMemory))
		w.server.announce(streams(n)...)
		pass(time.Second)
		require.Equal(t, n, e.Stats().Held)
		for _, s := range streams(n) {
			w.server.add(0, bulky(s, mebibyte))
		}
		pass(5 * time.Second)
		require.Equal(t, MinReadMemory/2/mebibyte, e.Stats().Parked)
		_, pending, later, _ := w.server.count()
		require.Equal(t, []int{n + e.Stats().Parked, n - e.Stats().Parked}, []int{pending, later})
		for range 2 * n {
			for l := range e.Leases() {
				go func() { _ = l.Done(context.Background()) }()
			}
			pass(5 * time.Second)
		}
		require.Len(t, e.of(api.Added), 2*n)
		undelivered, pending, later, dead := w.server.count()
		require.Equal(t, []int{0, 0, 0, 0}, []int{undelivered, pending, later, dead})
		require.Zero(t, e.lot.mu.bytes)
	})
}

// What is beyond a limit is a dead letter that says so, and is counted as such; its neighbours are owned.
func TestWhatIsBeyondTheLimitsIsADeadLetter(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		e := w.start(nil, WithLimits(Limits{MaxName: 100, MaxInfo: 1000, MaxFields: 16, MaxEntry: 4000}))
		many := fakeBody("wide")
		for i := range 16 {
			many = append(many, rueidis.XRangeFieldValue{Field: fmt.Sprint(i)})
		}
		w.server.add(0, fakeBody(strings.Repeat("n", 101)))
		w.server.add(0, bulky("info", 2000))
		w.server.add(0, many)
		w.server.add(0, fakeBody("weight", "mine", strings.Repeat("m", 4000)))
		w.server.announce(strings.Repeat("n", 100), "fine")
		pass(time.Second)
		require.Equal(t, 2, e.Stats().Held)
		_, _, _, dead := w.server.count()
		require.Equal(t, 4, dead)
		var counted dto.Metric
		require.NoError(t, e.metrics.deadLetters[deadTooLarge].Write(&counted))
		require.InDelta(t, 4, counted.GetCounter().GetValue(), 0)
		require.Contains(t, e.logged(), "announcements beyond the limits")
	})
}

// A stream whose forwarding is never answered was copied again and again.
func TestACopyWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		e := w.start(nil)
		const n = 300
		for i := range n {
			w.server.add(0, fakeBody(w.streamIn(1, i)))
		}
		lost := 0
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.op == "copy" && lost < 2 {
				lost++
				return faultLose
			}
			return fakeFault{}
		})
		pass(time.Minute)
		require.Equal(t, 2, lost)
		require.Equal(t, n, e.Stats().Held)
		require.Zero(t, e.Stats().Parked, "no second announcement of any")
		undelivered, pending, later, _ := w.server.count()
		require.Equal(t, []int{0, n, 0}, []int{undelivered, pending, later})
	})
}

// Where no answer ever comes there is a duplicate each time that it is tried, and it is tried ever more seldom.
func TestCopiesThatAreNeverAnsweredGetSeldom(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		e := w.start(nil)
		e.fake.onlyOp(faultLose, "copy")
		w.server.add(0, fakeBody(w.streamIn(1, 0)))
		pass(time.Hour)
		calls := countCalls(e.fake.takeCalls(), "copy")
		require.Less(t, calls, 30)
		require.Greater(t, calls, 8)
		pass(time.Hour)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "copy"), 13)
	})
}

func TestAcquisitionsAreCutByTheBytesOfTheirKeys(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		const n = 200
		for i := range n {
			w.server.announce(fmt.Sprint(i, strings.Repeat("x", cluster.MaxStreamName-10)))
		}
		e := w.start(nil)
		pass(10 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		for _, c := range e.fake.takeCalls() {
			if c.op == "acquire" {
				require.LessOrEqual(t, c.n, lease.MaxCallWeight/cluster.MaxStreamName)
			}
		}
	})
}
