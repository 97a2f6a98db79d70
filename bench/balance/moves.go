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

// costOf is what each move costs, besides what the fleet costs when it is calm: that is measured from when shares were even to the end.
func costOf(before, even, after cost, moves int) *MoveCost {
	busy, calm := even.redis.Since(before.redis), after.redis.Since(even.redis)
	ratio := even.at.Sub(before.at).Seconds() / after.at.Sub(even.at).Seconds()
	net := func(busy, calm float64) float64 { return (busy - ratio*calm) / float64(moves) }
	sent := func(u measure.Usage) float64 { return float64(u.Sent(measure.SentByEngine()...).Total()) }
	return &MoveCost{
		Commands: net(sent(busy), sent(calm)),
		Ran:      net(float64(busy.Calls.Total()), float64(calm.Calls.Total())),
		CPU:      time.Duration(net(float64(busy.CPU), float64(calm.CPU))),
	}
}
