package balance_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
)

func TestZeroConfigIsTheDefault(t *testing.T) {
	require.NoError(t, balance.Config{}.Validate())
	require.Equal(t, balance.Config{Gate: balance.On, Shed: balance.On, Budget: 500}, balance.Config{}.WithDefaults())
	require.Equal(t, 7.0, balance.Config{Budget: 7}.WithDefaults().Budget)
}

func TestConfigOutOfRangeIsRefused(t *testing.T) {
	for _, c := range []struct {
		config balance.Config
		says   []string // nothing: it is fine
	}{
		{config: balance.Config{Budget: 1}},
		{config: balance.Config{Budget: 100_000}},
		{config: balance.Config{Gate: balance.Off}},
		{config: balance.Config{Gate: balance.Off, Shed: balance.Off, Budget: 12.5}},
		{balance.Config{Budget: 0.99}, []string{"Budget is 0.99", "from 1 to 100000", "leave it out for 500", "balance.Off"}},
		{balance.Config{Budget: -1}, []string{"Budget is -1"}},
		{balance.Config{Budget: 100_001}, []string{"Budget is 100001"}},
		{balance.Config{Budget: math.NaN()}, []string{"Budget is NaN"}},
		{balance.Config{Budget: math.Inf(1)}, []string{"Budget is +Inf"}},
		{balance.Config{Budget: math.Inf(-1)}, []string{"Budget is -Inf"}},
		{balance.Config{Gate: 2}, []string{"Gate is Switch(2)", "balance.On or balance.Off"}},
		{balance.Config{Shed: 255}, []string{"Shed is Switch(255)", "balance.On or balance.Off"}},
	} {
		err := c.config.Validate()
		if c.says == nil {
			require.NoError(t, err, "%+v", c.config)
			continue
		}
		require.ErrorIs(t, err, api.ErrInvalidConfig, "%+v", c.config)
		for _, part := range c.says {
			require.ErrorContains(t, err, part)
		}
	}
}

func TestNames(t *testing.T) {
	require.Equal(t, "on off Switch(2)", balance.On.String()+" "+balance.Off.String()+" "+balance.Switch(2).String())
	for reason, name := range map[balance.Reason]string{
		balance.NotHeldOff: "not held off", balance.HeldOffQuiet: "quiet", balance.HeldOffUntaken: "untaken",
		balance.HeldOffFrozen: "frozen", balance.HeldOffUnsettled: "unsettled", 9: "Reason(9)",
	} {
		require.Equal(t, name, reason.String())
	}
}
