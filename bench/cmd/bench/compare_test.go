package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/test/servers"
)

func TestCompareMeasuresEveryModel(t *testing.T) {
	parallel(t)
	compared := results[suite.Compared](t, "compare", "-streams", "300", "-ttl", "1s", "-for", "1s", "-rounds", "1", "-json")
	require.Len(t, compared.Rounds, 1)
	for _, round := range compared.Rounds {
		for _, cost := range []suite.ModelCost{round.PerStream, round.Batched, round.TwoTier} {
			require.Zero(t, cost.Lost)
			require.Positive(t, cost.Commands)
			require.Positive(t, cost.Taking)
			require.Positive(t, cost.Memory)
			require.Positive(t, cost.RSS)
		}
		require.GreaterOrEqual(t, round.PerStream.Goroutines, 300.)
		require.Greater(t, round.PerStream.Commands, 300., "half a second apart")
		require.LessOrEqual(t, round.Batched.Goroutines, 50.)
	}
	require.Greater(t, compared.Batched.Commands, 1.)
	require.Greater(t, compared.TwoTier.Commands, 1.)
}

// TestForeignServerIsLeftAsItWas: the keys of a measurement have names of their own, and are deleted.
func TestForeignServerIsLeftAsItWas(t *testing.T) {
	parallel(t)
	server := servers.New(t, servers.Password("geheim"))
	client := server.Client(t)
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key("theirs").Value("1").Build()).Error())
	for _, args := range [][]string{
		{"compare", "-streams", "50", "-ttl", "2s", "-for", "1s", "-rounds", "1"},
		{"failover", "-streams", "50", "-pods", "2", "-session-ttl", "2s"},
		{"churn", "-rates", "100", "-for", "500ms"},
		{"hold", "-streams", "50", "-for", "300ms"},
		{"take", "-streams", "50", "-rounds", "2"},
		{"done", "-streams", "50", "-rounds", "2"},
		{"feed", "-streams", "50", "-rates", "200", "-spreads", "even", "-for", "100ms", "-most", "0", "-parts", "loads,checkpoints"},
		{"pipeline", "-streams", "50", "-batches", "256", "-ticks", "100ms", "-for", "300ms"},
	} {
		out, said, err := run(t, []string{address.EnvPassword + "=geheim"}, append(args, "-redis", "redis://"+server.Addr())...)
		out += said
		require.NoError(t, err, out)
		require.NotContains(t, out, "geheim")
		require.Contains(t, out, " at redis://:xxxxx@"+server.Addr())
		keys, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
		require.NoError(t, err)
		require.Equal(t, []string{"theirs"}, keys, "after %v", args)
	}
}

func TestAnUnusableRedisIsRefused(t *testing.T) {
	parallel(t)
	locked := servers.New(t, servers.Password("geheim"))
	replica := servers.New(t, servers.ReplicaOf(servers.New(t)))
	for url, want := range map[string]string{
		"redis://127.0.0.1:1":                    "no connection to redis://127.0.0.1:1",
		"redis://:falsch@" + locked.Addr():       "WRONGPASS",
		"redis://" + replica.Addr():              "takes no writes: READONLY",
		"127.0.0.1:6379":                         "not the URL of a Redis server",
		"http://127.0.0.1":                       "invalid URL scheme",
		"redis://:falsch@127.0.0.1:" + "x":       "not the URL of a Redis server",
		"redis://" + locked.Addr() + "/database": "invalid database number",
	} {
		out, err := bench(t, "compare", "-redis", url, "-streams", "10")
		require.Error(t, err, url)
		require.Contains(t, out, "bench: ")
		require.Contains(t, out, want)
		require.NotContains(t, out, "falsch")
		require.Equal(t, 1, strings.Count(out, "\n"), out)
	}
}
