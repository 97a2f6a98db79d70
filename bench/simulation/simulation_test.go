package simulation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func small() Config {
	return Config{
		Pods: 20, PerPod: 1000, Partitions: 4, Masters: 2, LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second,
		Tick: 100 * time.Millisecond, MaxBatch: 256, Seed: 1,
		Script: 20 * time.Microsecond, Lease: 2 * time.Microsecond, Move: 50 * time.Microsecond, MoveRate: 10_000,
	}
}

func TestRenewingAddsUp(t *testing.T) {
	c := small()
	l, err := Renewing(c, 30*time.Second)
	require.NoError(t, err)
	// Each lease every 9.5 s on average; 25 leases a tick and pod, 6 to a script.
	require.InEpsilon(t, float64(c.Pods*c.PerPod)/9.5, l.Leases, .03)
	require.Less(t, l.Scripts, float64(c.Pods*c.Partitions)*10+1, "a script a tick, pod and partition at most")
	require.InEpsilon(t, l.Leases/l.Scripts, l.LeasesPerScript, 1e-9)
	require.InEpsilon(t, l.Scripts/2, l.PerMaster, 1e-9)
	require.InEpsilon(t, (l.Scripts*20e-6+l.Leases*2e-6)/2, l.CPU, .01, "all that is sent is served")
	require.GreaterOrEqual(t, l.BusiestCPU, l.CPU)
	require.Less(t, l.Wait, c.Tick)
}

func TestPodsThatHoldLittleStillBeat(t *testing.T) {
	c := small()
	c.PerPod = 1
	l, err := Renewing(c, 20*time.Second)
	require.NoError(t, err)
	require.InEpsilon(t, float64(c.Pods*c.Partitions), l.Scripts, .1, "one a second, pod and partition")
}

func TestFullBatchesAreCut(t *testing.T) {
	c := small()
	c.MaxBatch = 1
	l, err := Renewing(c, 20*time.Second)
	require.NoError(t, err)
	require.InEpsilon(t, 1, l.LeasesPerScript, 1e-9)
}

func TestAllStreamsOfTheDeadAreOwnedAgain(t *testing.T) {
	c := small()
	for _, lost := range []int{1, 5, 19} {
		r, err := Recovering(c, lost)
		require.NoError(t, err)
		require.Equal(t, lost*c.PerPod, r.Streams)
		require.GreaterOrEqual(t, r.P50, c.SessionTTL-c.beat(), "nobody may take before the session has ended")
		require.LessOrEqual(t, r.P50, r.P99)
		require.LessOrEqual(t, r.P99, r.Max)
		require.Less(t, r.Noticed, c.SessionTTL+2*c.beat())
		require.GreaterOrEqual(t, r.Held, c.Pods*c.PerPod/(c.Pods-lost))
		require.LessOrEqual(t, r.CPU, 1.+1e-9)
	}
}

func TestMoreDeathsTakeLonger(t *testing.T) {
	c := small()
	c.Move = time.Millisecond
	one, err := Recovering(c, 1)
	require.NoError(t, err)
	many, err := Recovering(c, 10)
	require.NoError(t, err)
	// 10,000 streams on two masters, a millisecond each.
	require.InEpsilon(t, 5*time.Second, many.Max-c.SessionTTL, .3)
	require.Greater(t, many.Max, one.Max)
	require.InDelta(t, 1, many.CPU, .05)
}

func TestTheSameSeedGivesTheSame(t *testing.T) {
	a, err := Recovering(small(), 3)
	require.NoError(t, err)
	b, err := Recovering(small(), 3)
	require.NoError(t, err)
	require.Equal(t, a, b)
}

func TestMastersWithoutTimeAreReported(t *testing.T) {
	c := small()
	c.Script = 20 * time.Millisecond
	r, err := Recovering(c, 1)
	require.NoError(t, err, "a result, too")
	require.Equal(t, r.Streams, r.Left)
	require.False(t, r.Reached(.5))
	require.Greater(t, r.Wait, time.Minute, "renewals wait longer and longer")
	require.InDelta(t, 1, r.CPU, .01)
	l, err := Renewing(c, 30*time.Second)
	require.NoError(t, err)
	require.Greater(t, l.Behind, c.Tick)

	c = small()
	c.Move = 20 * time.Millisecond
	r, err = Recovering(c, 1)
	require.NoError(t, err)
	require.Zero(t, r.Left, "50 streams a second and master are slow, and not too slow")

	l, err = Renewing(small(), 30*time.Second)
	require.NoError(t, err)
	require.LessOrEqual(t, l.Behind, small().Tick)
	r, err = Recovering(small(), 1)
	require.NoError(t, err)
	require.True(t, r.Reached(1))
}

func TestImpossibleFleetsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"Pods":       func(c *Config) { c.Pods = 0 },
		"Masters":    func(c *Config) { c.Masters = 5 },
		"Tick":       func(c *Config) { c.Tick = time.Minute },
		"SessionTTL": func(c *Config) { c.SessionTTL = time.Millisecond },
		"PerPod":     func(c *Config) { c.PerPod = 1 << 40 },
		"Move":       func(c *Config) { c.Move = 0 },
	} {
		c := small()
		change(&c)
		_, err := Renewing(c, time.Second)
		require.ErrorContains(t, err, name)
	}
	_, err := Recovering(small(), 20)
	require.ErrorContains(t, err, "at least one to survive")
	require.NotEmpty(t, small().Assumptions())
}
