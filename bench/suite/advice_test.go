package suite

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ladder() []Held {
	return []Held{
		{Streams: 1_000, ClientCPU: .006, RedisCPU: .004, RSS: 30 << 20, LatenessP99: 100 * time.Millisecond},
		{Streams: 10_000, ClientCPU: .010, RedisCPU: .008, RSS: 36 << 20, LatenessP99: 101 * time.Millisecond},
		{Streams: 101_000, ClientCPU: .046, RedisCPU: .044, RSS: 90 << 20, LatenessP99: 102 * time.Millisecond},
	}
}

func TestAdviceIsArithmetic(t *testing.T) {
	a, err := advise(ladder(), Demand{Streams: 300_000, Failed: 2, PerPod: 50_000}, HoldOptions{}, 10_000)
	require.NoError(t, err)
	require.Equal(t, 8, a.Pods, "6 that can hold all, and 2 that may fail")
	require.Equal(t, 37_500, a.Each)
	require.Equal(t, 50_000, a.Survivor)
	require.InDelta(t, .0004e-3, a.PodCPU.Per, 1e-12)
	require.InDelta(t, .0056, a.PodCPU.At, 1e-9)
	require.InDelta(t, .08, a.Request.CPU, 1e-9, "3 * (0.56 % + 50,000 * 0.4 µs/s), rounded up")
	require.Zero(t, a.Request.Memory%memoryStep)
	require.GreaterOrEqual(t, float64(a.Request.Memory), 2*a.PodMemory.of(50_000))
	require.InDelta(t, 8*.0036+300_000*.0004e-3, a.Redis, 1e-9)
	require.Equal(t, 11*time.Second+7500*time.Millisecond, a.Takeover, "session, beat, and 75,000 streams")
	require.Equal(t, 18*time.Second, a.Spare)
	require.Equal(t, 1800*time.Millisecond, a.Late)

	var text strings.Builder
	writeAdvice(&text, a)
	require.Contains(t, text.String(), "300,000 / 50,000, rounded up, + 2 that may fail")
	require.Contains(t, text.String(), "300,000 / (8 - 2)")
}

func TestCapacityIsTheLargestSizeThatWasHeldWell(t *testing.T) {
	all := ladder()
	a, err := advise(all, Demand{Streams: 500_000, Failed: 0}, HoldOptions{}, 0)
	require.NoError(t, err)
	require.Equal(t, 101_000, a.Capacity)
	require.Equal(t, 5, a.Pods)
	require.Equal(t, a.Each, a.Survivor)

	all[2].LatenessP99 = 3 * time.Second
	a, err = advise(all, Demand{Streams: 500_000, Failed: 1}, HoldOptions{}, 0)
	require.NoError(t, err)
	require.Equal(t, 10_000, a.Capacity)
	require.Equal(t, 51, a.Pods)

	for i := range all {
		all[i].Lost = 1
	}
	_, err = advise(all, Demand{Streams: 500_000}, HoldOptions{}, 0)
	require.ErrorContains(t, err, "no size was held well")
}

func TestShortTTLsLeaveLessToSpare(t *testing.T) {
	require.Less(t, spare(HoldOptions{LeaseTTL: 2 * time.Second}), time.Second)
	require.Positive(t, spare(HoldOptions{LeaseTTL: 2 * time.Second}))
}

func TestOneSizeGivesALineThroughZero(t *testing.T) {
	l := fit([]Held{{Streams: 100, RSS: 1000}}, func(h Held) float64 { return float64(h.RSS) })
	require.Equal(t, Line{Per: 10}, l)
	require.InDelta(t, 2000., l.of(200), 1e-9)
}

func TestALineThatFallsIsFlat(t *testing.T) {
	l := fit([]Held{{Streams: 100, RedisCPU: .5}, {Streams: 200, RedisCPU: .4}}, func(h Held) float64 { return h.RedisCPU })
	require.Equal(t, Line{At: .5}, l)
}

func TestCostsAreSeparated(t *testing.T) {
	// 20 µs a script and 2 µs a lease.
	sparse := Held{Scripts: 1000, Renewals: 1000, RedisCPU: .022}
	dense := Held{Scripts: 100, Renewals: 20_000, RedisCPU: .042}
	script, each := solve(sparse, dense, func(h Held) float64 { return h.RedisCPU })
	require.InDelta(t, float64(20*time.Microsecond), float64(script), 10)
	require.InDelta(t, float64(2*time.Microsecond), float64(each), 10)
	script, each = solve(sparse, sparse, func(h Held) float64 { return h.RedisCPU })
	require.Zero(t, script)
	require.Zero(t, each)
}

// On a machine that is too busy the figures are shown all the same.
func TestSizeShowsWhatItMeasuredWithoutARecommendation(t *testing.T) {
	var text strings.Builder
	writeSized(&text, SizeOptions{}, Sized{Held: ladder()}, false, errors.New("3 of 1000 streams were lost"))
	require.Contains(t, text.String(), "heap a stream")
	require.Contains(t, text.String(), "No recommendation: 3 of 1000 streams were lost.")
	require.NotContains(t, text.String(), "whatever is in it")
	require.NotContains(t, text.String(), "CPU request")
	require.Len(t, Sized{Held: ladder()}.plots(), len(plotHeld(ladder())), "no costs are plotted that were not measured")
}
