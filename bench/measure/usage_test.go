package measure

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

func TestUsageCountsWhatWasDoneMeanwhile(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	before, err := ReadUsage(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, 1, before.Masters)
	require.False(t, before.Cluster)
	require.NotEmpty(t, before.Version)
	script := "for i = 1, 100 do redis.call('SET', KEYS[1], i) end"
	for range 3 {
		require.Error(t, client.Do(t.Context(), client.B().Eval().Script(script).Numkeys(1).Key("k").Build()).Error(), "nil")
	}
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key("k").Value(strings.Repeat("x", 10_000)).Build()).Error())
	require.NoError(t, client.Do(t.Context(), client.B().Get().Key("k").Build()).Error())
	after, err := ReadUsage(t.Context(), client)
	require.NoError(t, err)
	used := after.Since(before)
	require.Equal(t, Commands{"eval": 3, "get": 1}, used.Sent("eval", "get", "absent"))
	require.EqualValues(t, 301, used.Calls["set"])
	require.GreaterOrEqual(t, used.Processed, int64(300))
	require.Positive(t, used.CPU)
	require.Positive(t, used.Ran["eval"])
	require.GreaterOrEqual(t, used.Ran["eval"], used.Ran["get"], "three times a hundred")
	require.Greater(t, used.BytesIn, int64(10_000))
	require.Greater(t, used.BytesOut, int64(10_000))
}

func TestUsageNeedsAMaster(t *testing.T) {
	master := servers.New(t)
	replica := servers.New(t, servers.ReplicaOf(master))
	_, err := ReadUsage(t.Context(), replica.Client(t))
	require.ErrorContains(t, err, "none of the servers is a master")
}
