package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Histogram is a native histogram of durations: how many observations fell into each of its buckets, which are some 2 % wide.
type Histogram struct {
	Schema  int32         // 2^Schema buckets for every doubling
	Zero    uint64        // observations up to ZeroTo
	ZeroTo  float64       // seconds
	Buckets map[int]int64 // index i holds (2^((i-1)/2^Schema), 2^(i/2^Schema)] seconds
}

// ReadHistogram reads the histogram of that name, of which there must be exactly one.
func ReadHistogram(g prometheus.Gatherer, name string) (Histogram, error) {
	metrics := gather(g, name)
	if len(metrics) != 1 {
		return Histogram{}, fmt.Errorf("%d histograms are called %s, want 1", len(metrics), name)
	}
	h := metrics[0].GetHistogram()
	if h.GetSampleCount() > 0 && h.GetZeroCount() == 0 && len(h.GetPositiveSpan()) == 0 {
		return Histogram{}, fmt.Errorf("%s is not a native histogram", name)
	}
	return native(h), nil
}

func native(h *dto.Histogram) Histogram {
	out := Histogram{Schema: h.GetSchema(), Zero: h.GetZeroCount(), ZeroTo: h.GetZeroThreshold(), Buckets: make(map[int]int64)}
	index, at, count := 0, 0, int64(0)
	for _, span := range h.GetPositiveSpan() {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += h.GetPositiveDelta()[at]
			out.Buckets[index] = count
			at++
			index++
		}
	}
	return out
}

// Since returns what was observed after an earlier reading of the same histogram.
func (h Histogram) Since(earlier Histogram) (Histogram, error) {
	if h.Schema != earlier.Schema || h.ZeroTo != earlier.ZeroTo {
		return Histogram{}, fmt.Errorf("the buckets changed from schema %d to %d meanwhile", earlier.Schema, h.Schema)
	}
	d := Histogram{Schema: h.Schema, ZeroTo: h.ZeroTo, Zero: h.Zero - earlier.Zero, Buckets: make(map[int]int64)}
	for i, n := range h.Buckets {
		if n -= earlier.Buckets[i]; n > 0 {
			d.Buckets[i] = n
		}
	}
	return d, nil
}

// Count is the number of observations.
func (h Histogram) Count() int64 {
	n := int64(h.Zero)
	for _, c := range h.Buckets {
		n += c
	}
	return n
}

// Quantile is the upper bound of the bucket in which the q-quantile is, the greatest observation for 1; 0 if there are no
// observations.
func (h Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(total))), 1)
	seen := int64(h.Zero)
	bound := h.ZeroTo
	first, last := h.span()
	for i := first; i <= last && seen < rank; i++ {
		seen += h.Buckets[i]
		bound = math.Exp2(float64(i) / math.Exp2(float64(h.Schema)))
	}
	return time.Duration(bound * float64(time.Second))
}

func (h Histogram) span() (first, last int) {
	first, last = math.MaxInt, math.MinInt
	for i := range h.Buckets {
		first, last = min(first, i), max(last, i)
	}
	return first, last
}
