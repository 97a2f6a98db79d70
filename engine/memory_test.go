package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

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

// unplaced is how many bytes of entries are held that were read and have no place yet.
func (e *testEngine) unplaced() (bytes int) {
	for _, p := range e.partitions {
		_, held := e.reading.Waiting(p.number)
		bytes += held
	}
	return bytes
}

// Trace: 1,000 announcements of 1 MiB cost a reader 2.4 GB. Only their number bounded what it read, and it read on while Redis
// took no acquisitions.
func TestBytesReadAndNotYetTakenAreBounded(t *testing.T) {
	const partitions, each = 4, 8
	bubble(t, partitions, func(t *testing.T, h *harness) {
		e := h.newEngine(WithReadMemory(MinReadMemory))
		e.fake.failOnly(faultError, "acquire")
		for p := range partitions {
			for i := range each {
				h.server.add(p, bulky(h.streamIn(p, i), mebibyte))
			}
		}
		e.startRun()
		advance(time.Minute)
		_, pending, _, _ := h.server.count()
		// At most half of the memory, the entry that ends each read, and the one that each reader waited for.
		require.LessOrEqual(t, pending, MinReadMemory/2/mebibyte+2*partitions)
		require.GreaterOrEqual(t, pending, MinReadMemory/2/mebibyte)
		e.fake.setFault(nil)
		advance(20 * time.Second)
		require.Equal(t, partitions*each, e.Stats().Held, "all are acquired in the end")
		require.Zero(t, e.unplaced())
	})
}

// Small announcements are read by the batch, as before.
func TestSmallAnnouncementsAreReadByTheBatch(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(5000)...)
		e := h.start(nil)
		advance(time.Second)
		require.Equal(t, 5000, e.Stats().Held)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "read on"), 6)
	})
}

// 10,000 parked announcements of 1 MiB would take 10 GB.
func TestParkedBytesAreBounded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 12
		e := h.start(nil, WithReadMemory(MinReadMemory))
		h.server.announce(streams(n)...)
		advance(time.Second)
		require.Equal(t, n, e.Stats().Held)
		for _, s := range streams(n) {
			h.server.add(0, bulky(s, mebibyte))
		}
		advance(5 * time.Second)
		require.Equal(t, MinReadMemory/2/mebibyte, e.Stats().Parked)
		_, pending, later, _ := h.server.count()
		require.Equal(t, []int{n + e.Stats().Parked, n - e.Stats().Parked}, []int{pending, later})
		for range 2 * n {
			for l := range e.Leases() {
				go func() { _ = l.Done(context.Background()) }()
			}
			advance(5 * time.Second)
		}
		require.Len(t, e.notified(api.Added), 2*n)
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
		_, bytes := e.parked.list.Size()
		require.Zero(t, bytes)
	})
}

// Trace: one master of three was at maxmemory. Its sessions got beats, its streams were read, and none was acquired. What its
// partitions had read took all the memory that there is for that. Nothing was read from the two others any more, while
// the intake was reported as open. The same happened while it settled.
func TestMasterThatTakesNoAcquisitionsStopsNoOther(t *testing.T) {
	const partitions, sick, each, weight = 12, 4, 40, 50_000
	failing := func(f fakeFault) func(*testEngine, bool) {
		return func(e *testEngine, on bool) {
			e.fake.failWhen(f, func(c *fakeCall) bool { return on && c.op == "acquire" && c.partition < sick })
		}
	}
	settling := func(e *testEngine, on bool) {
		for n := range sick {
			e.h.server.with(n, func(p *fakePartition) {
				if p.since = 1; on {
					p.since = nowMilli() + time.Hour.Milliseconds()
				}
			})
		}
	}
	for name, trouble := range map[string]func(e *testEngine, on bool){
		"at maxmemory": failing(faultOOM), "no answer": failing(faultHang), "settles": settling,
	} {
		for _, masters := range []int{1, 3} { // with one, it is partitions that take nothing
			t.Run(fmt.Sprint(name, " ", masters), func(t *testing.T) {
				bubble(t, partitions, func(t *testing.T, h *harness) {
					e := h.start(nil, WithReadMemory(MinReadMemory))
					e.assign(func(p int) int { return min(p/sick, masters-1) })
					trouble(e, true)
					for p, names := range h.names(sick, each) {
						for _, s := range names {
							h.server.add(p, bulky(s, weight))
						}
					}
					advance(time.Minute)
					for p := sick; p < partitions; p++ {
						h.server.announce(h.streamIn(p, 0))
					}
					advance(10 * time.Second)
					for p := sick; p < partitions; p++ {
						e.held(h.streamIn(p, 0))
					}
					_, used := e.reading.Waiting(0)
					require.Positive(t, used)
					// Besides, there are the entry that each reader waited for, and the one that ended its read.
					require.LessOrEqual(t, e.unplaced(), MinReadMemory/2+2*sick*weight)
					require.Greater(t, e.unplaced(), MinReadMemory/8)
					require.Equal(t, IntakeClogged, e.Stats().Intake)
					require.Contains(t, e.logged(), "reading is paused: what was read can be neither acquired nor requeued")
					trouble(e, false)
					advance(time.Minute)
					require.Equal(t, sick*each+partitions-sick, e.Stats().Held)
					require.Equal(t, IntakeOpen, e.Stats().Intake)
					require.Contains(t, e.logged(), "reading continues: what was read has found its place")
					require.Zero(t, e.unplaced())
				})
			})
		}
	}
}

// An announcement that is larger than the whole memory is read where nothing else is held.
func TestAnnouncementLargerThanTheMemoryIsReadAlone(t *testing.T) {
	for _, partitions := range []int{1, 24} {
		bubble(t, partitions, func(t *testing.T, h *harness) {
			e := h.start(nil, WithReadMemory(MinReadMemory), WithLimits(Limits{MaxEntry: 10 << 20, MaxInfo: 1 << 20}))
			for i := range 3 {
				s := h.streamIn(0, i)
				h.server.add(0, append(fakeBody(s), rueidis.XRangeFieldValue{Field: "mine", Value: strings.Repeat("m", MinReadMemory)}))
			}
			advance(10 * time.Second)
			require.Equal(t, 3, e.Stats().Held)
			require.Zero(t, e.unplaced())
		})
	}
}

// idler does nothing.
type idler struct{ Layer }

func (idler) Added(api.Lease) {}

// A stream that is held costs next to nothing above what it costs with Run, and no goroutine.
func TestMemoryOfALayersStream(t *testing.T) {
	const n = 100_000
	layout, err := cluster.NewLayout("svc", 1)
	require.NoError(t, err)
	clock := lease.NewClock()
	s := lease.NewSession(context.Background(), clock, 0, "pod.1", clock.Now(), time.Hour)
	all := make([]*lease.Lease, n)
	for i := range all {
		name := fmt.Sprint("stream", i)
		x := lease.Entry{ID: "1-1", Stream: name, Key: layout.Keys(0).Lease(name)}
		all[i] = lease.New(s, &x, api.Token(i+1), clock.Now(), time.Hour, nil)
	}
	w, err := newLayered(layeredConfig{layer: idler{}}, new(config).wrapped)
	require.NoError(t, err)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	done := func(error) {}
	for _, l := range all {
		w.deliver(api.Notification{Kind: api.Added, Lease: l}, done)
	}
	each := float64(heap()-before) / n
	require.Less(t, each, 8.)
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Equal(t, n, w.mu.open)
	require.Empty(t, w.mu.waiting)
	runtime.KeepAlive(all)
	t.Logf("%.1f bytes a stream", each)
}
