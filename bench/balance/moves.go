package balance

import (
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
)

func spreadOf(shares []float64) (s Spread) {
	if len(shares) > 0 {
		s = Spread{slices.Min(shares), slices.Max(shares)}
	}
	return s
}

func movesOf(all []move, streams int) (m Moves) {
	m.All, m.Mean = len(all), float64(len(all))/float64(streams)
	each := make(map[int]int)
	var gaps, orphans []time.Duration
	for _, x := range all {
		each[x.stream]++
		if x.from == x.to {
			m.Back++
		}
		if !x.given {
			m.Dead++
			orphans = append(orphans, x.gap)
			continue
		}
		gaps = append(gaps, x.gap)
		if x.gap >= handicap {
			m.Waited++
		}
	}
	for _, n := range each {
		m.Most = max(m.Most, n)
		if n > 2 {
			m.Often++
		}
	}
	m.Gap, m.Orphan = latencyOf(gaps), latencyOf(orphans)
	return m
}

func latencyOf(all []time.Duration) measure.Latency {
	slices.Sort(all)
	return measure.Latency{P50: measure.Quantile(all, .5), P99: measure.Quantile(all, .99), Max: measure.Quantile(all, 1)}
}
