package scan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// after is a candidate that arrived that long before the death, with its crashes, including this one.
type after struct {
	idle    time.Duration
	crashes int
}

// What is poison, what gets a strike, and what loses one.
func TestDetectPoison(t *testing.T) {
	const s = time.Second
	// With the defaults an entry has the longest delay after 11 crashes; more than that are strikes.
	herd := func(first after, n, crashes int) []after {
		all := []after{first}
		for i := range n {
			all = append(all, after{time.Duration(i+2) * 10 * s, crashes})
		}
		return all
	}
	for name, test := range map[string]struct {
		config  Config
		left    []after
		others  cohort
		crashes []int // afterwards; -1: a dead letter
		waiting int
	}{
		"none":                                      {},
		"below the limit":                           {left: []after{{s, 7}, {20 * s, 8}}, crashes: []int{7, 8}},
		"no strikes before the longest delay":       {left: herd(after{s, 11}, 3, 11), crashes: []int{11, 11, 11, 11}, waiting: 4},
		"the last one to arrive gets a strike":      {left: herd(after{s, 12}, 3, 12), crashes: []int{12, 11, 11, 11}, waiting: 4},
		"others lose one":                           {left: herd(after{s, 13}, 3, 16), crashes: []int{13, 14, 14, 14}, waiting: 4},
		"the seventeenth makes it poison":           {left: herd(after{s, 28}, 3, 28), crashes: []int{-1, 26, 26, 26}, waiting: 3},
		"the sixteenth does not":                    {left: herd(after{s, 27}, 3, 5), crashes: []int{27, 5, 5, 5}, waiting: 1},
		"all that arrived at once prove nothing":    {left: []after{{s, 28}, {s, 28}, {s + s/2, 28}, {s, 28}}, crashes: []int{27, 27, 27, 27}, waiting: 4},
		"arrived together, before others":           {left: []after{{s, 12}, {9 * s, 28}, {9 * s, 28}, {9 * s, 28}}, crashes: []int{12, 26, 26, 26}, waiting: 4},
		"alone, and others arrived with it":         {left: []after{{s, 26}}, others: cohort{stable: 1, idles: []time.Duration{s / 2, s, 9 * s, 9 * s}}, crashes: []int{25}, waiting: 1},
		"a quarter of eight":                        {left: append(herd(after{s, 28}, 6, 11), after{2 * s, 28}), crashes: []int{-1, 11, 11, 11, 11, 11, 11, -1}, waiting: 6},
		"of a few it takes more":                    {left: []after{{s, 28}, {20 * s, 28}}, crashes: []int{28, 25}, waiting: 2},
		"of a few it takes twice as many":           {left: []after{{s, 45}, {20 * s, 28}}, crashes: []int{-1, 25}, waiting: 1},
		"alone, and nothing else was stable":        {left: []after{{s, 28}}, crashes: []int{27}, waiting: 1},
		"alone among what was stable":               {left: []after{{s, 12}}, others: cohort{stable: 1}, crashes: []int{14}, waiting: 1},
		"alone among what was stable, in the end":   {left: []after{{s, 26}}, others: cohort{stable: 1}, crashes: []int{-1}},
		"alone, and others arrived later":           {left: []after{{s, 26}}, others: cohort{stable: 1, idles: []time.Duration{0, s, s, 9 * s}}, crashes: []int{24}, waiting: 1},
		"alone, and others arrived before":          {left: []after{{s, 26}}, others: cohort{stable: 1, idles: []time.Duration{9 * s}}, crashes: []int{-1}},
		"the only announcement":                     {left: []after{{s, 11}}, others: cohort{sole: true}, crashes: []int{-1}},
		"the only announcement, below the limit":    {left: []after{{s, 10}}, others: cohort{sole: true}, crashes: []int{10}},
		"no crash is forgiven to anyone":            {config: Config{MaxCrashes: NoCrashes}, left: []after{{s, 1}, {s, 1}, {9 * s, 1}}, crashes: []int{-1, -1, -1}},
		"no limit, but somebody lowered it":         {config: Config{MaxCrashes: NoLimit}, left: []after{{s, 70}, {9 * s, 70}}, crashes: []int{70, 70}},
		"a greater limit is the longest delay, too": {config: Config{MaxCrashes: 100}, left: herd(after{s, 101}, 3, 60), crashes: []int{101, 60, 60, 60}, waiting: 1},
		"a lower limit":                             {config: Config{MaxCrashes: 1}, left: herd(after{s, 2}, 3, 12), crashes: []int{2, 11, 11, 11}, waiting: 4},
	} {
		t.Run(name, func(t *testing.T) {
			var items []poisonCandidate
			for i, x := range test.left {
				r := lease.Disposition{Dest: lease.ToDeadLetters, Reason: "crashes", Crashes: x.crashes, Retries: i}
				items = append(items, poisonCandidate{Disposition: r, idle: x.idle})
			}
			waiting := test.config.detectPoison(items, test.others, func() float64 { return 0.5 })
			require.Equal(t, test.waiting, waiting)
			crashes := make([]int, len(items))
			for _, r := range items {
				crashes[r.Retries] = r.Crashes
				if r.Dest == lease.ToDeadLetters {
					crashes[r.Retries] = -1
					require.NotEmpty(t, r.Reason)
					continue
				}
				require.Equal(t, lease.ToLater, r.Dest)
				require.Positive(t, r.Delay)
				require.LessOrEqual(t, r.Delay, test.config.WithDefaults().MaxCrashDelay)
				require.Empty(t, r.Reason)
			}
			if test.left != nil {
				require.Equal(t, test.crashes, crashes)
			}
		})
	}
}
