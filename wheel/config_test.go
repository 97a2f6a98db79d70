package wheel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	require.Equal(t, Config{Tick: 100 * time.Millisecond, SlotBits: 12, StepBits: 6, Levels: 3}, Config{}.WithDefaults())
	require.Equal(t, Config{Tick: time.Second, SlotBits: 8, StepBits: 3, Levels: 2},
		Config{Tick: time.Second, SlotBits: 8, StepBits: 3, Levels: 2}.WithDefaults())
	require.Equal(t, 1, Config{SlotBits: 1}.WithDefaults().StepBits)
	require.Equal(t, 24, Config{}.WithDefaults().reachBits())
}

func TestValidateNamesTheFieldAndTheValues(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, ""},
		{Config{Tick: time.Millisecond, SlotBits: 1, StepBits: 1, Levels: 1}, ""},
		{Config{Tick: time.Hour, SlotBits: 12, StepBits: 4, Levels: 8}, ""},
		{Config{Tick: time.Microsecond}, "wheel: Tick is 1µs, must be from 1ms to 1h0m0s"},
		{Config{Tick: -1}, "wheel: Tick is -1ns, must be from 1ms to 1h0m0s"},
		{Config{Tick: 2 * time.Hour}, "wheel: Tick is 2h0m0s, must be from 1ms to 1h0m0s"},
		{Config{SlotBits: -1}, "wheel: SlotBits is -1, must be from 1 to 12"},
		{Config{SlotBits: 13}, "wheel: SlotBits is 13, must be from 1 to 12"},
		{Config{SlotBits: 6, StepBits: 7}, "wheel: StepBits is 7, must be from 1 to SlotBits, which is 6"},
		{Config{StepBits: -1}, "wheel: StepBits is -1, must be from 1 to SlotBits, which is 12"},
		{Config{Levels: -1}, "wheel: Levels is -1, must be from 1 to 8"},
		{Config{Levels: 9}, "wheel: Levels is 9, must be from 1 to 8"},
		{Config{Levels: 8}, "wheel: SlotBits + (Levels-1)*StepBits is 12 + 7*6 = 54, must be at most 40"},
	} {
		w, err := New(c.cfg, 0)
		if c.want == "" {
			require.NoError(t, err)
			require.NoError(t, c.cfg.Validate())
			require.NotNil(t, w)
			continue
		}
		require.EqualError(t, err, c.want)
		require.EqualError(t, c.cfg.Validate(), c.want)
		require.Nil(t, w)
	}
}
