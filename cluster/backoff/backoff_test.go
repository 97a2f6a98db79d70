package backoff_test

import (
	"context"
	"math"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/cluster/backoff"
)

const ms = time.Millisecond

func TestDelay(t *testing.T) {
	usual := backoff.Exponential{First: 100 * ms, Max: time.Second, Jitter: 0.5}
	for _, c := range []struct {
		name     string
		b        backoff.Exponential
		failures int
		random   float64
		want     time.Duration
	}{
		{"first failure", usual, 1, 0, 100 * ms},
		{"doubles", usual, 2, 0, 200 * ms},
		{"and again", usual, 4, 0, 800 * ms},
		{"up to Max", usual, 5, 0, time.Second},
		{"for good", usual, math.MaxInt, 0, time.Second},
		{"zero counts as one", usual, 0, 0, 100 * ms},
		{"so does a lower count", usual, math.MinInt, 0, 100 * ms},
		{"half of the jitter", usual, 2, 0.5, 150 * ms},
		{"nearly all of the jitter", usual, 5, 0.9999, 500*ms + 50*time.Microsecond},
		{"no jitter", backoff.Exponential{First: ms, Max: time.Second}, 3, 0.9, 4 * ms},
		{"jitter of the whole delay", backoff.Exponential{First: ms, Max: time.Second, Jitter: 1}, 3, 0.75, ms},
		{"First above Max", backoff.Exponential{First: time.Hour, Max: time.Second}, 1, 0, time.Second},
		{"First is Max", backoff.Exponential{First: time.Second, Max: time.Second}, 9, 0, time.Second},
		{"the greatest power of two", backoff.Exponential{First: 1, Max: math.MaxInt64}, 63, 0, 1 << 62},
		{"beyond it", backoff.Exponential{First: 1, Max: math.MaxInt64}, 64, 0, math.MaxInt64},
		{"the zero value", backoff.Exponential{}, 7, 0.5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, c.b.Delay(c.failures, c.random))
		})
	}
}

// Compares with arithmetic of unlimited precision: min(First * 2^(failures-1), Max), less the jitter.
func TestDelayAtRandom(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := backoff.Exponential{
			First:  time.Duration(rapid.Int64Min(0).Draw(r, "first")),
			Max:    time.Duration(rapid.Int64Min(0).Draw(r, "max")),
			Jitter: rapid.Float64Range(0, 1).Draw(r, "jitter"),
		}
		failures := rapid.OneOf(rapid.IntRange(1, 70), rapid.IntMin(1)).Draw(r, "failures")
		random := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(r, "random")

		exact := new(big.Int).Lsh(big.NewInt(int64(b.First)), uint(min(failures, 200)-1))
		if limit := big.NewInt(int64(b.Max)); exact.Cmp(limit) > 0 {
			exact = limit
		}
		whole := time.Duration(exact.Int64())
		require.Equal(r, whole, b.Delay(failures, 0))

		d := b.Delay(failures, random)
		require.GreaterOrEqual(r, d, time.Duration(0))
		require.LessOrEqual(r, d, whole)
		require.InDelta(r, float64(whole)*(1-b.Jitter*random), float64(d), 1+float64(whole)*1e-12)
		if failures < math.MaxInt {
			require.LessOrEqual(r, d-d/1e12-1, b.Delay(failures+1, random), "never shrinks, except by rounding")
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.True(t, backoff.Sleep(t.Context(), time.Second))
		require.Equal(t, time.Second, time.Since(began))
		require.True(t, backoff.Sleep(t.Context(), 0))
		require.True(t, backoff.Sleep(t.Context(), -time.Second))
		require.Equal(t, time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, backoff.Sleep(ctx, time.Hour), "ctx ends first")
		require.Equal(t, 2*time.Second, time.Since(began))
		for range 100 {
			require.False(t, backoff.Sleep(ctx, -1), "ctx has ended")
		}
	})
}
