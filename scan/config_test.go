package scan

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestConfigDefaults(t *testing.T) {
	require.Equal(t, Config{
		Interval:      30 * time.Second,
		MaxRetries:    3,
		MaxCrashes:    10,
		StableAfter:   5 * time.Minute,
		RetryDelay:    time.Second,
		MaxRetryDelay: 5 * time.Minute,
		CrashDelay:    time.Second,
		MaxCrashDelay: 5 * time.Minute,
		DLQMaxLen:     100_000,
		DLQFullDelay:  time.Hour,
		CheckpointTTL: 7 * 24 * time.Hour,
	}, Config{}.WithDefaults())
	require.NoError(t, Config{}.Validate())

	raised := Config{RetryDelay: time.Hour, CrashDelay: 2 * time.Hour}
	require.NoError(t, raised.Validate(), "a first delay alone raises its cap")
	require.Equal(t, time.Hour, raised.WithDefaults().MaxRetryDelay)
	require.Equal(t, 2*time.Hour, raised.WithDefaults().MaxCrashDelay)

	none := Config{MaxRetries: NoRetries, MaxCrashes: NoCrashes, DLQMaxLen: NoLimit, DLQTrim: true}
	require.NoError(t, none.Validate())
	require.Equal(t, -1, none.WithDefaults().MaxRetries)
	require.Equal(t, -1, none.WithDefaults().MaxCrashes)
	require.Equal(t, none.WithDefaults(), none.WithDefaults().WithDefaults())
}

func TestConfigDeadLimit(t *testing.T) {
	for given, want := range map[int]int{0: 100_000, NoLimit: 0, 1 << 53: 0, 1<<53 - 1: 1<<53 - 1, 1: 1, 7: 7} {
		require.Equal(t, want, Config{DLQMaxLen: given}.DeadLimit(), "DLQMaxLen %d", given)
	}
}

func TestConfigValidateNamesFieldAndValue(t *testing.T) {
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{Interval: time.Millisecond}, "scan: Interval is 1ms, must be from 100ms to 24h0m0s"},
		{Config{Interval: 25 * time.Hour}, "scan: Interval is 25h0m0s, must be from 100ms to 24h0m0s"},
		{Config{StableAfter: -1}, "scan: StableAfter is -1ns, must be from 1ms to 720h0m0s"},
		{Config{RetryDelay: time.Microsecond}, "scan: RetryDelay is 1µs, must be from 1ms to 720h0m0s"},
		{Config{RetryDelay: 721 * time.Hour}, "scan: RetryDelay is 721h0m0s, must be from 1ms to 720h0m0s"},
		{Config{MaxRetryDelay: -time.Second}, "scan: MaxRetryDelay is -1s, must be from 1ms to 720h0m0s"},
		{Config{CrashDelay: -time.Second}, "scan: CrashDelay is -1s, must be from 1ms to 720h0m0s"},
		{Config{MaxCrashDelay: 721 * time.Hour}, "scan: MaxCrashDelay is 721h0m0s, must be from 1ms to 720h0m0s"},
		{Config{DLQFullDelay: -time.Hour}, "scan: DLQFullDelay is -1h0m0s, must be from 1ms to 720h0m0s"},
		{Config{DLQMaxLen: -1}, "scan: DLQMaxLen is -1, must be at least 1; leave it out for 100000, or use scan.NoLimit"},
		{Config{CheckpointTTL: -1}, "scan: CheckpointTTL is -1ns, must be at least 1s; leave it out for 168h0m0s, or use scan.NoLimit"},
		{Config{RetryDelay: 3 * time.Second, MaxRetryDelay: 2 * time.Second},
			"scan: MaxRetryDelay is 2s, must be at least RetryDelay, which is 3s"},
		{Config{MaxRetryDelay: 10 * time.Millisecond},
			"scan: MaxRetryDelay is 10ms, must be at least RetryDelay, which is 1s"},
		{Config{CrashDelay: 3 * time.Second, MaxCrashDelay: 2 * time.Second},
			"scan: MaxCrashDelay is 2s, must be at least CrashDelay, which is 3s"},
	} {
		t.Run(test.want, func(t *testing.T) {
			require.EqualError(t, test.config.Validate(), test.want)
		})
	}
}

func TestConfigLimitsAreAllowed(t *testing.T) {
	require.NoError(t, Config{
		Interval: MinInterval, StableAfter: MinDelay, RetryDelay: MinDelay, MaxRetryDelay: MinDelay,
		CrashDelay: MinDelay, MaxCrashDelay: MinDelay, DLQFullDelay: MinDelay,
		CheckpointTTL: MinCheckpointTTL,
	}.Validate())
	require.NoError(t, Config{
		Interval: MaxInterval, StableAfter: MaxDelay, RetryDelay: MaxDelay, MaxRetryDelay: MaxDelay,
		CrashDelay: MaxDelay, MaxCrashDelay: MaxDelay, DLQFullDelay: MaxDelay,
		CheckpointTTL: NoLimit,
	}.Validate())
}

func TestConfigDelay(t *testing.T) {
	const s = time.Second
	short := Config{RetryDelay: 10 * time.Millisecond, MaxRetryDelay: 100 * time.Millisecond}
	for _, test := range []struct {
		config  Config
		retries int
		rnd     float64
		want    time.Duration
	}{
		{Config{}, 1, 0.5, s},
		{Config{}, 2, 0.5, 2 * s},
		{Config{}, 3, 0.5, 4 * s},
		{Config{}, 9, 0.5, 256 * s},
		{Config{}, 10, 0.5, 300 * s}, // 512 s, capped
		{Config{}, 11, 0.5, 300 * s},
		{Config{}, math.MaxInt, 0.5, 300 * s},
		{Config{}, 0, 0.5, s},
		{Config{}, -5, 0.5, s},
		{Config{}, 1, 0, 800 * time.Millisecond},
		{Config{}, 1, 1, 1200 * time.Millisecond},
		{Config{}, 3, 0.25, 3600 * time.Millisecond},
		{Config{}, 50, 0, 240 * s},
		{Config{}, 50, 1, 360 * s},
		{short, 1, 0.5, 10 * time.Millisecond},
		{short, 4, 0.5, 80 * time.Millisecond},
		{short, 5, 0.5, 100 * time.Millisecond},
		{Config{RetryDelay: MaxDelay}, 7, 0.5, MaxDelay},
	} {
		t.Run(fmt.Sprintf("%v/%d/%v", test.config.RetryDelay, test.retries, test.rnd), func(t *testing.T) {
			require.Equal(t, test.want, test.config.Delay(test.retries, test.rnd))
		})
	}
}

func TestConfigDelayAfterCrashHasItsOwnBounds(t *testing.T) {
	c := Config{RetryDelay: time.Hour, CrashDelay: 2 * time.Second, MaxCrashDelay: 5 * time.Second}
	for crashes, want := range []time.Duration{2 * time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		require.Equal(t, want, c.DelayAfterCrash(crashes, 0.5), "%d crashes", crashes)
	}
	require.Equal(t, 5*time.Minute, Config{}.DelayAfterCrash(20, 0.5))
}

// Even with the worst luck a later retry below the cap does not wait less than the one before, and all stay within the bounds.
func TestConfigDelayGrowsWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(int64(MinDelay), int64(time.Hour)).Draw(t, "first"))
		most := time.Duration(rapid.Int64Range(int64(first), int64(MaxDelay)).Draw(t, "most"))
		c := Config{RetryDelay: first, MaxRetryDelay: most}
		retries := rapid.IntRange(1, 64).Draw(t, "retries")
		unit := rapid.Float64Range(0, 1)
		d := c.Delay(retries, unit.Draw(t, "rnd"))
		require.GreaterOrEqual(t, d, first*8/10)
		require.LessOrEqual(t, d, most*12/10+1)
		if first<<retries <= most && retries < 20 {
			require.Less(t, d, c.Delay(retries+1, unit.Draw(t, "next rnd")))
		}
	})
}
