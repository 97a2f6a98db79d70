package servers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCommandStats(t *testing.T) {
	s := New(t)
	stats, err := s.CommandStats(t.Context())
	require.NoError(t, err)
	for command := range stats {
		require.Equal(t, "info", command, "waiting for the server leaves no other trace")
	}

	c := s.Client(t)
	set(t, c, "k", "v")
	require.NoError(t, s.ResetStats(t.Context()))
	for range 3 {
		set(t, c, "k", "v")
	}
	require.Error(t, c.Do(t.Context(), c.B().Incr().Key("k").Build()).Error())
	require.NoError(t, c.Do(t.Context(), c.B().XgroupCreate().Key("s").Group("g").Id("0").Mkstream().Build()).Error())
	stats, err = s.CommandStats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, stats["set"].Calls)
	require.Positive(t, stats["set"].UsecTotal)
	require.Positive(t, stats["set"].UsecPerCall)
	require.EqualValues(t, 1, stats["incr"].FailedCalls)
	require.EqualValues(t, 1, stats["xgroup|create"].Calls+stats["xgroup"].Calls)

	require.Error(t, c.Do(t.Context(), c.B().Evalsha().Sha1("unknown").Numkeys(0).Build()).Error())
	errors, err := s.ErrorStats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, errors["NOSCRIPT"])
}

func TestParseCommandStat(t *testing.T) {
	stat, err := parseCommandStat("calls=5,usec=10,usec_per_call=2.00,rejected_calls=1,failed_calls=2,news=x")
	require.NoError(t, err)
	require.Equal(t, CommandStat{Calls: 5, UsecTotal: 10, UsecPerCall: 2, RejectedCalls: 1, FailedCalls: 2}, stat)
	_, err = parseCommandStat("calls=many")
	require.Error(t, err)
}

func TestCPUGrowsWithWork(t *testing.T) {
	s := New(t)
	before, err := s.CPU()
	require.NoError(t, err)
	c := s.Client(t)
	spin := c.B().Eval().Script("local x = 0 for i = 1, 2e6 do x = x + i end return x").Numkeys(0).Build().Pin()
	require.Eventually(t, func() bool {
		if err := c.Do(t.Context(), spin).Error(); err != nil {
			t.Error(err)
			return true
		}
		after, err := s.CPU()
		return err == nil && after >= before+50*time.Millisecond
	}, 60*time.Second, time.Millisecond)
	require.NoError(t, s.Kill())
	_, err = s.CPU()
	require.Error(t, err)
}
