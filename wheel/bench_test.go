package wheel

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// The benchmarks compare the wheel with the two obvious choices: a heap of
// deadlines, and a runtime timer for each. Every op is one timer, and all start
// from n timers armed over 10 s ± 10 %, in 64 partitions.
//
//	Schedule  arm n timers; bytes/timer is the memory that they take
//	Move      move a timer to another deadline, as an answer does
//	Renew     let a timer come out and arm it again, tick after tick
//	Cancel    disarm a timer, and arm it again
//	Jump      let all n come out in one call, after a pause of a minute

const benchPartitions = 64

var benchSizes = []int{1_000, 100_000, 1_000_000}

// timers is what the contestants have in common.
type timers interface {
	schedule(h Handle, at int64)
	cancel(h Handle)
	advance(now int64) []Handle
}

type wheelTimers struct {
	*Wheel
	due Due
	out []Handle
}

func newWheelTimers(int) timers {
	w, err := New(Config{}, 0)
	if err != nil {
		panic(err)
	}
	return &wheelTimers{Wheel: w}
}

func (w *wheelTimers) schedule(h Handle, at int64) { w.Schedule(h, uint16(h%benchPartitions), at) }
func (w *wheelTimers) cancel(h Handle)             { w.Cancel(h) }
func (w *wheelTimers) advance(now int64) []Handle {
	w.Advance(now, &w.due)
	w.out = w.out[:0]
	for _, handles := range w.due.Groups() {
		w.out = append(w.out, handles...)
	}
	return w.out
}

// heapTimers is container/heap over handles, with the index of each in a slice
// so that a timer can be moved. Deadlines are not rounded and nothing is grouped.
type heapTimers struct {
	order []Handle
	place []int32
	at    []int64
	out   []Handle
}

func newHeapTimers(n int) timers {
	t := &heapTimers{place: make([]int32, n), at: make([]int64, n)}
	for i := range t.place {
		t.place[i] = -1
	}
	return t
}

func (t *heapTimers) Len() int           { return len(t.order) }
func (t *heapTimers) Less(i, j int) bool { return t.at[t.order[i]] < t.at[t.order[j]] }
func (t *heapTimers) Swap(i, j int) {
	t.order[i], t.order[j] = t.order[j], t.order[i]
	t.place[t.order[i]], t.place[t.order[j]] = int32(i), int32(j)
}

func (t *heapTimers) Push(x any) {
	h := x.(Handle)
	t.place[h] = int32(len(t.order))
	t.order = append(t.order, h)
}

func (t *heapTimers) Pop() any {
	h := t.order[len(t.order)-1]
	t.order = t.order[:len(t.order)-1]
	t.place[h] = -1
	return h
}

func (t *heapTimers) schedule(h Handle, at int64) {
	t.at[h] = at
	if i := t.place[h]; i >= 0 {
		heap.Fix(t, int(i))
		return
	}
	heap.Push(t, h)
}

func (t *heapTimers) cancel(h Handle) { heap.Remove(t, int(t.place[h])) }

func (t *heapTimers) advance(now int64) []Handle {
	t.out = t.out[:0]
	for len(t.order) > 0 && t.at[t.order[0]] <= now {
		t.out = append(t.out, heap.Pop(t).(Handle))
	}
	return t.out
}

// runtimeTimers is time.AfterFunc. Its timers are armed an hour ahead of what is
// asked, so that none fires while it is measured; so it has no advance.
type runtimeTimers struct{ timers []*time.Timer }

func newRuntimeTimers(n int) timers { return &runtimeTimers{make([]*time.Timer, n)} }

func (t *runtimeTimers) schedule(h Handle, at int64) {
	d := time.Hour + time.Duration(at)
	if timer := t.timers[h]; timer != nil {
		timer.Reset(d)
		return
	}
	// The handle is captured, since the function called must know it.
	t.timers[h] = time.AfterFunc(d, func() { panic(h) })
}

func (t *runtimeTimers) cancel(h Handle)            { t.timers[h].Stop() }
func (t *runtimeTimers) advance(now int64) []Handle { panic("the runtime advances by itself") }

// contest runs f for each contestant and size.
func contest(b *testing.B, withRuntime bool, f func(b *testing.B, n int, make func(int) timers)) {
	for _, c := range []struct {
		name string
		make func(int) timers
	}{{"wheel", newWheelTimers}, {"heap", newHeapTimers}, {"AfterFunc", newRuntimeTimers}} {
		if c.name == "AfterFunc" && !withRuntime {
			continue
		}
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				f(b, n, c.make)
			})
		}
	}
}

// deadlines is a table of 64K intervals of 10 s ± 10 %, so that drawing them
// costs next to nothing.
var deadlines = func() (d [1 << 16]int64) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range d {
		d[i] = 9*second + r.Int64N(2*second)
	}
	return d
}()

func interval(i int) int64 { return deadlines[i*40503&(1<<16-1)] }

func fill(t timers, n int) {
	for h := range n {
		t.schedule(Handle(h), interval(h))
	}
}

// shuffled returns handles in an order that the memory system cannot predict.
func shuffled(n int) []Handle {
	out := make([]Handle, n)
	for i, h := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
		out[i] = Handle(h)
	}
	return out
}

func stop(t timers, n int) {
	if r, ok := t.(*runtimeTimers); ok {
		for h := range n {
			if r.timers[h] != nil {
				r.cancel(Handle(h))
			}
		}
	}
}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkSchedule(b *testing.B) {
	contest(b, true, func(b *testing.B, n int, make func(int) timers) {
		before := heapBytes()
		t := make(n)
		fill(t, n)
		after := heapBytes()
		stop(t, n)
		b.ResetTimer()
		for done := 0; done < b.N; done += n {
			b.StopTimer()
			t = make(n)
			b.StartTimer()
			fill(t, min(n, b.N-done))
			b.StopTimer()
			stop(t, n)
			b.StartTimer()
		}
		b.ReportMetric(float64(int64(after-before))/float64(n), "bytes/timer")
	})
}

func BenchmarkMove(b *testing.B) {
	contest(b, true, func(b *testing.B, n int, make func(int) timers) {
		t, order := make(n), shuffled(n)
		fill(t, n)
		b.ResetTimer()
		for i := range b.N {
			t.schedule(order[i%n], interval(i)+second)
		}
		b.StopTimer()
		stop(t, n)
	})
}

func BenchmarkRenew(b *testing.B) {
	contest(b, false, func(b *testing.B, n int, make func(int) timers) {
		t := make(n)
		fill(t, n)
		var now int64
		done := 0
		round := func(until int64, limit int) {
			for now < until || done < limit {
				now += 100 * ms
				out := t.advance(now)
				for i, h := range out {
					t.schedule(h, now+interval(i+done))
				}
				done += len(out)
			}
		}
		round(30*second, 0) // until the order is fully mixed
		done = 0
		b.ResetTimer()
		round(0, b.N)
	})
}

func BenchmarkCancel(b *testing.B) {
	contest(b, true, func(b *testing.B, n int, make func(int) timers) {
		t, order := make(n), shuffled(n)
		fill(t, n)
		b.ResetTimer()
		for i := range b.N {
			h := order[i%n]
			t.cancel(h)
			t.schedule(h, interval(i))
		}
		b.StopTimer()
		stop(t, n)
	})
}

func BenchmarkJump(b *testing.B) {
	contest(b, false, func(b *testing.B, n int, make func(int) timers) {
		t, order := make(n), shuffled(n)
		var now int64
		b.ResetTimer()
		for done := 0; done < b.N; done += n {
			b.StopTimer()
			some := order[:min(n, b.N-done)]
			for i, h := range some {
				t.schedule(h, now+interval(i))
			}
			now += minute
			b.StartTimer()
			if len(t.advance(now)) != len(some) {
				b.Fatal("not all came out")
			}
		}
	})
}

// An idle wheel costs a tick that finds nothing.
func BenchmarkIdleTick(b *testing.B) {
	w, err := New(Config{}, 0)
	if err != nil {
		b.Fatal(err)
	}
	var due Due
	now := int64(0)
	b.ReportAllocs()
	for range b.N {
		if now%hour == 0 {
			w.Schedule(0, 0, now+day)
		}
		now += 100 * ms
		w.Advance(now, &due)
	}
}
