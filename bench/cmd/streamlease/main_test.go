package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/leaks"
	"github.com/streamlease/streamlease/test/servers"
)

func TestMain(m *testing.M) { leaks.Check(m) }

func size(t *testing.T, client rueidis.Client) int64 {
	t.Helper()
	n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
	require.NoError(t, err)
	return n
}

func TestCommand(t *testing.T) {
	s := servers.New(t)
	client := s.Client(t)
	publisher, err := engine.NewPublisher(client, "shop")
	require.NoError(t, err)
	for _, stream := range []string{"a", "b", "c", "d"} {
		_, err = publisher.Publish(t.Context(), stream, nil)
		require.NoError(t, err)
	}
	call := func(in string, args ...string) (status int, out string) {
		t.Helper()
		var text strings.Builder
		args = append([]string{"streamlease"}, args...)
		e := &env{in: typing{strings.NewReader(in)}, out: &text, errs: &text, now: time.Now, screen: screens}
		status = e.run(context.Background(), append(args, "--redis", "redis://"+s.Addr(), "--service", "shop"))
		return status, text.String()
	}
	status, out := call("", "repartition", "--to", "3", "--dry-run", "--keys")
	require.Equal(t, statusDone, status, out)
	require.Regexp(t, `\n +0 +4 +0 +0 +0 +0 +0 +0\n`, out)
	require.Regexp(t, `\nshop-input +stream +4\n`, out)
	require.Contains(t, out, "Nothing was changed")
	status, out = call("no\n", "repartition", "--to", "3")
	require.Equal(t, statusRefused, status, out)
	require.EqualValues(t, 2, size(t, client))

	require.NoError(t, client.Do(t.Context(), client.B().Zadd().Key("{shop-input}:sessions").ScoreMember().ScoreMember(9e15, "alive.1").Build()).Error())
	for _, args := range [][]string{{"repartition", "--to", "3"}, {"delete-service"}} {
		status, out = call("", append(args, "--yes")...)
		require.Equal(t, statusRunning, status, out)
		require.Contains(t, out, "alive.1")
	}
	// Where a change has begun, the command says neither that nothing was changed nor only that consumers run.
	record := client.B().Hset().Key("{shop-input}:meta").FieldValue().FieldValue("format", "1-repartitioning").
		FieldValue("state", "repartitioning").FieldValue("operation", "x").FieldValue("from", "3").FieldValue("to", "3").Build()
	require.NoError(t, client.Do(t.Context(), record).Error())
	for _, args := range [][]string{{"repartition", "--to", "3"}, {"delete-service"}} {
		status, out = call("", append(args, "--yes")...)
		require.Equal(t, statusFailed, status, out)
		require.Contains(t, out, "alive.1")
		require.Contains(t, out, "run the same operation again to finish it")
		require.NotContains(t, out, "nothing was changed")
	}
	require.NoError(t, client.Do(t.Context(), client.B().Del().Key("{shop-input}:sessions").Build()).Error())

	// Consumers of the predecessor of this library.
	for _, command := range []string{"XGROUP CREATE shop-input shop-group 0", "XREADGROUP GROUP shop-group redis-consumer-1 COUNT 1 STREAMS shop-input >"} {
		require.NoError(t, client.Do(t.Context(), client.B().Arbitrary(strings.Fields(command)...).Build()).Error())
	}
	entries, err := client.Do(t.Context(), client.B().Xrange().Key("shop-input").Start("-").End("+").Count(1).Build()).AsXRange()
	require.NoError(t, err)
	lock := "a:" + entries[0].ID
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key(lock).Value("1").Build()).Error())
	status, out = call("", "delete-service", "--yes")
	require.Equal(t, statusFailed, status, out)
	require.Contains(t, out, "redis-consumer-1")
	end := client.B().Hdel().Key("{shop-input}:meta").Field("state", "operation", "from", "to").Build()
	require.NoError(t, client.Do(t.Context(), end).Error())
	require.NoError(t, client.Do(t.Context(), client.B().Hset().Key("{shop-input}:meta").FieldValue().FieldValue("format", "1").Build()).Error())
	status, out = call("", "delete-service", "--yes")
	require.Equal(t, statusRunning, status, out)
	require.Contains(t, out, "redis-consumer-1")
	require.NoError(t, client.Do(t.Context(), client.B().Del().Key(lock).Build()).Error())

	status, out = call("shop\n", "repartition", "--to", "3")
	require.Equal(t, statusDone, status, out)
	require.Contains(t, out, "WithPartitions(3)")
	for _, args := range [][]string{{"repartition"}, {"repartition", "--to", "1025"}, {"delete-service", "--what"}} {
		status, out = call("", args...)
		require.Equal(t, statusUsage, status, out)
	}
	status, out = call("", "delete-service", "--yes")
	require.Equal(t, statusDone, status, out)
	require.Contains(t, out, "4 announcements, 0 delayed, 0 dead letters, and 0 schedules will be lost")
	require.Zero(t, size(t, client))

	// The address as in the other command: before or after the subcommand, or in the environment, with the password there.
	for _, args := range [][]string{{"-redis", "redis://" + s.Addr(), "delete-service"}, {"delete-service"}} {
		t.Setenv(address.EnvURL, "redis://"+s.Addr())
		var text strings.Builder
		require.Equal(t, statusNothing, run(t.Context(), append(append([]string{"streamlease"}, args...), "-service", "shop", "-dry-run"), nil, &text, &text), text.String())
	}
	var text strings.Builder
	status = run(context.Background(), []string{"streamlease", "delete-service", "--service", "shop", "--redis", "redis://u:secret@[bad"}, nil, &text, &text)
	require.Equal(t, statusUsage, status)
	require.NotContains(t, text.String(), "secret")
}
