package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompletion(t *testing.T) {
	f := newFleet(t)
	f.publish("a")
	url := "redis://" + f.server.Addr()
	complete := func(args ...string) string {
		t.Helper()
		status, out, errs := runIn(t, testEnv(""), append(append([]string{"streamlease"}, args...), completing)...)
		require.Equal(t, statusDone, status, errs)
		return out
	}
	require.Equal(t, shopName+"\n", complete("-redis", url, "lag", "-service"))
	require.Equal(t, shopName+"\n", complete("lag", "--redis="+url, "--service"))
	t.Setenv("STREAMLEASE_REDIS_URL", url)
	require.Equal(t, shopName+"\n", complete("-service"))
	t.Setenv("STREAMLEASE_REDIS_URL", "redis://127.0.0.1:1")
	require.Empty(t, complete("-service"))

	require.Contains(t, complete("dlq"), "send-back:")
	require.Contains(t, complete("dlq", "list", "--re"), "--reason:")
	require.Contains(t, complete("top", "--s"), "--service:")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, out, _ := f.raw("completion", shell)
		require.Equal(t, statusDone, status)
		require.Contains(t, out, "streamlease")
		require.Contains(t, out, completing)
	}
}
