package suite

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/wheel"
)

// Demand is the fleet for which advice is asked.
type Demand struct {
	Streams int // of the whole fleet
	Failed  int // pods that may fail at once
	PerPod  int // streams that a pod may hold after that failure; 0: the largest size that was held well
}

// Advice is how many pods of which size a demand takes. Every figure is arithmetic on what was measured, which writeAdvice shows.
type Advice struct {
	Demand
	Capacity  int           // streams a pod may hold
	Pods      int           // ceil(Streams / Capacity) + Failed
	Each      int           // ceil(Streams / Pods)
	Survivor  int           // ceil(Streams / (Pods - Failed)), after a failure
	PodCPU    Line          // share of a core over streams
	PodMemory Line          // bytes over streams
	RedisCPU  Line          // share of a core over streams
	Request   Resources     // for Survivor streams, with headroom
	Redis     float64       // share of a core, for all streams
	Takeover  time.Duration // from the death of the pods until all streams are owned: session TTL + beat + streams / Rate
	Rate      float64       // streams taken over a second
	HandBack  HandBack      // of Survivor streams
	Late      time.Duration // lateness of renewals at which to alarm: a tenth of Spare
	Spare     time.Duration // what a lease has to spare: TTL - margin - interval - timeout
}

// Resources are what to request from a scheduler.
type Resources struct {
	CPU    float64 // cores
	Memory int64   // bytes
}

// Line is a figure that grows with streams: At + Per * streams.
type Line struct{ At, Per float64 }

func (l Line) of(streams int) float64 { return l.At + l.Per*float64(streams) }

// Headroom of requests. What is measured is an average over some seconds, and a heap after a garbage collection, of a process that does
// nothing with its streams.
const (
	cpuHeadroom    = 3
	memoryHeadroom = 2
	cpuStep        = 0.01     // cores; requests are rounded up to a multiple
	memoryStep     = 16 << 20 // bytes; likewise
	alarmShare     = 10
)

// fit is the line through the smallest and the largest size. With one size, it is the line through zero.
func fit(all []Held, figure func(Held) float64) Line {
	first, last := all[0], all[0]
	for _, h := range all {
		if h.Streams < first.Streams {
			first = h
		}
		if h.Streams > last.Streams {
			last = h
		}
	}
	if first.Streams == last.Streams {
		return Line{Per: figure(last) / float64(last.Streams)}
	}
	per := max(0, (figure(last)-figure(first))/float64(last.Streams-first.Streams))
	return Line{At: max(0, figure(first)-per*float64(first.Streams)), Per: per}
}

// heldWell reports whether no stream of a size was lost and its renewals were far from too late.
func heldWell(h Held, late time.Duration) bool { return h.Lost == 0 && h.LatenessP99 <= late }

// advise computes what a demand takes. rate is how many streams of a dead pod another one took over a second.
func advise(all []Held, d Demand, o HoldOptions, rate float64) (a Advice, err error) {
	a = Advice{Demand: d, Capacity: d.PerPod, Rate: rate}
	a.Spare = spare(o)
	a.Late = (a.Spare / alarmShare).Round(10 * time.Millisecond)
	for _, h := range all {
		if d.PerPod == 0 && heldWell(h, a.Late) {
			a.Capacity = max(a.Capacity, h.Streams)
		}
	}
	if a.Capacity == 0 {
		return a, errors.New("no size was held well: nothing can be recommended")
	}
	a.Pods = ceil(d.Streams, a.Capacity) + d.Failed
	a.Each, a.Survivor = ceil(d.Streams, a.Pods), ceil(d.Streams, a.Pods-d.Failed)
	a.PodCPU = fit(all, func(h Held) float64 { return h.ClientCPU })
	a.PodMemory = fit(all, func(h Held) float64 { return float64(h.RSS) })
	a.RedisCPU = fit(all, func(h Held) float64 { return h.RedisCPU })
	a.Request.CPU = math.Ceil(cpuHeadroom*a.PodCPU.of(a.Survivor)/cpuStep) * cpuStep
	a.Request.Memory = int64(math.Ceil(memoryHeadroom*a.PodMemory.of(a.Survivor)/memoryStep)) * memoryStep
	// Every pod costs Redis what a pod without streams does.
	a.Redis = a.RedisCPU.At*float64(a.Pods) + a.RedisCPU.Per*float64(d.Streams)
	_, session := ttls(o)
	orphaned := a.Each * d.Failed
	a.Takeover = session + min(time.Second, session/5)
	if rate > 0 {
		a.Takeover += time.Duration(float64(orphaned) / rate * float64(time.Second))
	}
	return a, nil
}

// spare is how late a renewal may be before its lease is in danger: TTL - margin - interval - timeout, as the engine derives them.
func spare(o HoldOptions) time.Duration {
	lease, session := ttls(o)
	tick := cmp.Or(o.Tick, tickOf(o))
	margin := max(min(lease/10, max(time.Second, lease/1000)), 2*tick+50*time.Millisecond)
	return lease - margin - lease/3 - min(time.Second, session/4)
}

func ttls(o HoldOptions) (lease, session time.Duration) {
	lease = cmp.Or(o.LeaseTTL, engine.DefaultLeaseTTL)
	return lease, cmp.Or(o.SessionTTL, min(lease, engine.DefaultSessionTTL))
}

// tickOf is the tick that the engine derives from its session TTL.
func tickOf(o HoldOptions) time.Duration {
	_, session := ttls(o)
	return min(wheel.DefaultTick, session/20)
}

func ceil(a, b int) int { return (a + b - 1) / b }

func writeAdvice(out io.Writer, a Advice) {
	t := report.NewTable(fmt.Sprintf("%s streams, of the pods %d may fail", report.Grouped(a.Streams), a.Failed), "", "because")
	t.Left(3)
	t.Row("a pod may hold", report.Grouped(a.Capacity), capacityReason(a))
	t.Row("pods", a.Pods, fmt.Sprintf("%s / %s, rounded up, + %d that may fail", report.Grouped(a.Streams), report.Grouped(a.Capacity), a.Failed))
	t.Row("streams a pod", report.Grouped(a.Each), fmt.Sprintf("%s / %d", report.Grouped(a.Streams), a.Pods))
	t.Row("after the failure", report.Grouped(a.Survivor), fmt.Sprintf("%s / (%d - %d)", report.Grouped(a.Streams), a.Pods, a.Failed))
	t.Row("CPU request", fmt.Sprintf("%.2f cores", a.Request.CPU),
		fmt.Sprintf("%d * (%s + %s * %.3g µs/s)", cpuHeadroom, report.Percent(a.PodCPU.At), report.Grouped(a.Survivor), 1e6*a.PodCPU.Per))
	t.Row("memory request", report.Mebibytes(float64(a.Request.Memory)),
		fmt.Sprintf("%d * (%s + %s * %.0f B), in steps of %s", memoryHeadroom, report.Mebibytes(a.PodMemory.At), report.Grouped(a.Survivor), a.PodMemory.Per, report.Mebibytes(memoryStep)))
	t.Row("Redis, all pods", report.Percent(a.Redis)+" of a core",
		fmt.Sprintf("%d * %s + %s * %.3g µs/s", a.Pods, report.Percent(a.RedisCPU.At), report.Grouped(a.Streams), 1e6*a.RedisCPU.Per))
	t.Row("streams owned again after", report.Seconds(a.Takeover),
		fmt.Sprintf("session TTL + a beat + %s / %s a second", report.Grouped(a.Each*a.Failed), report.Grouped(a.Rate)))
	a.HandBack.row(t)
	t.Row("alarm: renewal lateness p99", "above "+report.Seconds(a.Late), fmt.Sprintf("a lease has %s to spare; a tenth of it", report.Seconds(a.Spare)))
	t.Row("alarm: held a pod", "above "+report.Grouped(a.Capacity), "more than was measured or asked for")
	t.Row("alarm: disowned, sessions lost", "above 0", "streams changed hands without need")
	t.Write(out)
	fmt.Fprintf(out, `
What your handlers need comes on top of the requests. CPU and memory of a pod, and CPU of Redis, are lines through the smallest
and the largest size that was measured; the factors %d and %d are for what an average hides: collections, takeovers, load from
neighbours. Redis does the rest of its work on the same core.
`, cpuHeadroom, memoryHeadroom)
}

func capacityReason(a Advice) string {
	if a.PerPod > 0 {
		return "-per-pod"
	}
	return "the largest size that lost nothing and whose lateness stayed below the alarm"
}
