package measure

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Counter is the sum of the counters of that name whose label has that value; 0 if there are none.
func Counter(g prometheus.Gatherer, name, label, value string) (sum float64) {
	for _, m := range gather(g, name) {
		for _, l := range m.GetLabel() {
			if l.GetName() == label && l.GetValue() == value {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// Sum is the sum of all counters of that name; 0 if there are none.
func Sum(g prometheus.Gatherer, name string) (sum float64) {
	for _, m := range gather(g, name) {
		sum += m.GetCounter().GetValue()
	}
	return sum
}

func gather(g prometheus.Gatherer, name string) []*dto.Metric {
	families, err := g.Gather()
	if err != nil {
		panic(err) // the registry is ours
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// Observations is the number of observations in the histograms of that name whose label has that value.
func Observations(g prometheus.Gatherer, name, label, value string) (n uint64) {
	for _, m := range gather(g, name) {
		for _, l := range m.GetLabel() {
			if l.GetName() == label && l.GetValue() == value {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

// Counters returns the counters of that name by the value of a label.
func Counters(g prometheus.Gatherer, name, label string) map[string]float64 {
	sums := make(map[string]float64)
	for _, m := range gather(g, name) {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				sums[l.GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	return sums
}
