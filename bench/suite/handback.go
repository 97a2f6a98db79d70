package suite

import (
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
)

// handBack shuts the engine of a worker down that holds so many streams, and returns how many it handed back a second. Nothing else
// is to do at that time: its handlers return at once.
func handBack(worker *pod.Process, streams int) (rate float64, err error) {
	s, err := worker.Ask("drain")
	if err != nil {
		return 0, err
	}
	return float64(streams) / s.Drained.Seconds(), nil
}

// HandBack is how long a pod needs to hand back what it holds, and the drain timeout that leaves that much for it.
type HandBack struct {
	Streams int     // that it holds after a failure of others
	Rate    float64 // streams handed back a second, as measured; 0: not measured
	Takes   time.Duration
	Timeout time.Duration
}

// drainShare is the share of the drain timeout that handing back may take at most: a half. See engine.WithDrainTimeout.
const drainShare = 2

// handBackAdvice computes it.
func handBackAdvice(streams int, rate float64) (h HandBack) {
	h = HandBack{Streams: streams, Rate: rate}
	if rate > 0 {
		h.Takes = time.Duration(float64(streams) / rate * float64(time.Second))
		h.Timeout = (drainShare * h.Takes).Round(time.Millisecond)
	}
	return h
}

// row adds it to the table of an advice.
func (h HandBack) row(t report.Table) {
	if h.Rate == 0 {
		return
	}
	t.Row("WithDrainTimeout", "at least "+report.Seconds(h.Timeout), fmt.Sprintf(
		"hand back %s streams: %s / %s a second = %s, at most half of it; handlers need the rest",
		report.Grouped(h.Streams), report.Grouped(h.Streams), report.Grouped(h.Rate), report.Seconds(h.Takes)))
}
