package servers

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClockOfAServerIsMoved: back and forth and across a restart, on every server. Keys expire by it.
func TestClockOfAServerIsMoved(t *testing.T) {
	for _, p := range Available(t) {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			s := New(t, On(p), OwnClock(), Persist())
			c := s.Client(t)
			ahead := func() time.Duration {
				text, err := s.Call(t.Context(), "EVAL", "return redis.call('TIME')[1]", "0")
				require.NoError(t, err)
				seconds, err := strconv.ParseInt(text, 10, 64)
				require.NoError(t, err)
				return time.Until(time.Unix(seconds, 0)).Round(time.Minute)
			}
			require.Zero(t, ahead())
			require.NoError(t, c.Do(t.Context(), c.B().Set().Key("k").Value("v").Px(30*time.Minute).Build()).Error())
			require.NoError(t, s.SetClock(-10*time.Minute))
			require.Equal(t, -10*time.Minute, ahead())
			require.Equal(t, "v", get(t, s, "k"))
			require.NoError(t, s.Kill())
			require.NoError(t, s.Restart(t.Context(), true))
			require.Equal(t, -10*time.Minute, ahead())
			require.Equal(t, "v", get(t, s, "k"))
			require.NoError(t, s.SetClock(31*time.Minute))
			require.Equal(t, 31*time.Minute, ahead())
			require.Empty(t, get(t, s, "k"))
		})
	}
}

// TestClockOfAServerStandsStill: a key neither ages nor expires.
func TestClockOfAServerStandsStill(t *testing.T) {
	s := New(t, OwnClock())
	c := s.Client(t)
	at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	now := func() string {
		text, err := s.Call(t.Context(), "EVAL", "local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000", "0")
		require.NoError(t, err)
		return text
	}
	require.NoError(t, s.FreezeClock(at))
	require.Equal(t, strconv.FormatInt(at.UnixMilli(), 10), now())
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("k").Value("v").Px(time.Millisecond).Build()).Error())
	require.Equal(t, strconv.FormatInt(at.UnixMilli(), 10), now())
	require.Equal(t, "v", get(t, s, "k"))
	require.NoError(t, s.FreezeClock(at.Add(2*time.Millisecond)))
	require.Empty(t, get(t, s, "k"))
	require.NoError(t, s.SetClock(0))
	require.NotEqual(t, now(), strconv.FormatInt(at.UnixMilli(), 10))
}

func TestClockThatCannotBeMovedIsAnError(t *testing.T) {
	require.ErrorIs(t, New(t).SetClock(time.Second), ErrNoClock)
	require.ErrorIs(t, New(t).FreezeClock(time.Now()), ErrNoClock)

	start := func() error {
		s, err := Start(context.Background(), Options{OwnClock: true})
		if err == nil {
			return s.Stop()
		}
		return err
	}
	t.Setenv("CC", filepath.Join(t.TempDir(), "none"))
	err := start()
	require.ErrorIs(t, err, ErrNoClock)
	require.ErrorContains(t, err, "apt-get install gcc")

	// A compiler that makes libraries without effect.
	compiler := filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(compiler, []byte("#!/bin/sh\necho 'int none;' >\"$5.c\"\nexec cc -shared -fPIC -o \"$5\" \"$5.c\"\n"), 0o700))
	t.Setenv("CC", compiler)
	err = start()
	require.ErrorIs(t, err, ErrNoClock)
	require.ErrorContains(t, err, "ignores the preloaded library")
}
