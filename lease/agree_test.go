package lease

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

func checkDisagreement(t *testing.T, w *harness) {
	t.Helper()
	four, err := cluster.NewLayout(w.layout.Service(), 4)
	require.NoError(t, err)
	err = NewStore(four, w.set, w.Client, w.Client, nil).Agree(w.ctx)
	require.ErrorIs(t, err, api.ErrPartitionMismatch)
	require.ErrorContains(t, err, "WithPartitions(1)")
	w.Do("HSET", w.layout.Meta(), "format", "2")
	require.ErrorIs(t, w.store.Agree(w.ctx), api.ErrFormat)
	w.Do("DEL", w.layout.Meta())
	w.Do("SET", w.layout.Meta(), "x")
	require.ErrorContains(t, w.store.Agree(w.ctx), "delete or rename")
}

// The record was deleted while members are alive, and a process with another number of partitions starts: it writes
// nothing. A member writes it again, and the other one hears that it differs. It used to write its own number, and 195
// streams had two owners.
func TestWhoIsNewDoesNotWriteTheRecordWhileMembersLive(t *testing.T) {
	w := newHarness(t)
	four, err := cluster.NewLayout(w.layout.Service(), 4)
	require.NoError(t, err)
	other := NewStore(four, w.set, w.Client, w.Client, nil)
	require.NoError(t, w.store.Agree(w.ctx))
	w.open(alice)
	w.Do("DEL", w.layout.Meta())
	for range 2 {
		err = other.Agree(w.ctx)
		require.ErrorIs(t, err, api.ErrNoAgreement)
		require.False(t, Disagrees(err), "it is to wait")
		require.ErrorContains(t, err, "1 consumers")
		require.Zero(t, w.Num("EXISTS", w.layout.Meta()))
	}
	require.ErrorIs(t, NewStore(w.layout, w.set, w.Client, w.Client, nil).Agree(w.ctx), api.ErrNoAgreement, "nobody knows who is right")
	require.NoError(t, w.store.Confirm(w.ctx))
	require.ErrorIs(t, other.Agree(w.ctx), api.ErrPartitionMismatch)

	// Half of the record is no record.
	w.Do("HDEL", w.layout.Meta(), "partitions")
	require.ErrorIs(t, other.Agree(w.ctx), api.ErrNoAgreement)
	require.NoError(t, w.store.Confirm(w.ctx))

	// The dead do not write it, nor do the closed.
	w.Do("DEL", w.layout.Meta())
	w.kill(alice)
	require.NoError(t, other.Agree(w.ctx))
	require.ErrorIs(t, w.store.Confirm(w.ctx), api.ErrPartitionMismatch)
}

// Whoever may not look at sessions, as a publisher with the rights that earlier versions asked for, still agrees.
func TestAgreeWithoutTheRightToSessions(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	for _, rules := range [][]string{
		{"~" + w.layout.Meta(), "+hmget", "+hsetnx"},
		{"~*", "+hmget", "+hsetnx"},
		{"~*", "+hmget", "+hsetnx", "+time"},
	} {
		w.Do("DEL", w.layout.Meta())
		w.Do(append([]string{"ACL", "SETUSER", "publisher", "reset", "on", ">secret", "+evalsha", "+eval", "+ping"}, rules...)...)
		opt := w.server.ClientOption()
		opt.Username, opt.Password = "publisher", "secret"
		client, err := rueidis.NewClient(opt)
		require.NoError(t, err)
		require.NoError(t, Agree(w.ctx, NewRunner(client, nil), w.layout))
		require.NoError(t, Agree(w.ctx, NewRunner(client, nil), w.layout))
		client.Close()
	}
}

// While a service is deleted or repartitioned nobody works with it, those who look at the format alone included.
func TestStoppedServiceIsRefused(t *testing.T) {
	w := newHarness(t)
	require.NoError(t, w.store.Agree(w.ctx))
	for state, words := range map[State][]string{
		Deleting:       {"being deleted", "repartition it to 1"},
		Repartitioning: {"from 1 to 4", "to 4 again", "to 1 to undo"},
		"resting":      {"resting", "does not know"},
	} {
		w.Do("HSET", w.layout.Meta(), "format", state.Format(), "state", string(state), "from", "1", "to", "4")
		require.NotEqual(t, "1", w.Text("HGET", w.layout.Meta(), "format"))
		for _, err := range []error{w.store.Agree(w.ctx), w.store.Confirm(w.ctx)} {
			require.ErrorIs(t, err, api.ErrServiceStopped)
			require.True(t, Disagrees(err))
			for _, word := range words {
				require.ErrorContains(t, err, word)
			}
		}
	}
	// A state with a format that is ours, as somebody would leave it who mends the record by hand.
	w.Do("HSET", w.layout.Meta(), "format", "1")
	require.ErrorIs(t, w.store.Agree(w.ctx), api.ErrServiceStopped)
	w.Do("HDEL", w.layout.Meta(), "state")
	require.NoError(t, w.store.Agree(w.ctx))
}

// olderAgree has agree run as it does before Redis 7, where a script cannot see the version.
func olderAgree(t *testing.T) {
	was := scriptMeta
	scriptMeta = NewScript("meta", strings.ReplaceAll(luaText("meta", "meta"), "redis.REDIS_VERSION_NUM", "nil"))
	t.Cleanup(func() { scriptMeta = was })
}

// without is a server that lacks commands.
func without(commands ...string) servers.Option {
	var args []string
	for _, command := range commands {
		args = append(args, "--rename-command", command, "")
	}
	return servers.Args(args...)
}

func TestServerThatIsTooOldIsRefusedAtTheStart(t *testing.T) {
	olderAgree(t)
	w := harnessOn(t, servers.New(t, without("XAUTOCLAIM", "ZMSCORE")))
	for _, agree := range []func() error{
		func() error { return w.store.Agree(w.ctx) },
		func() error { return w.store.Confirm(w.ctx) },
		func() error { return Agree(w.ctx, NewRunner(w.Client, nil), w.layout) }, // a publisher's
	} {
		err := agree()
		require.ErrorIs(t, err, api.ErrUnsupportedServer)
		require.False(t, Retryable(err), "waiting does not mend it")
		require.False(t, Disagrees(err))
		require.ErrorContains(t, err, "XAUTOCLAIM")
		require.ErrorContains(t, err, "upgrade the server to Redis 6.2 or later, or to Valkey")
	}
	require.Zero(t, w.Num("DBSIZE"), "nothing was written")
}

// An operator may have renamed a command that this library does not use.
func TestServerWithARenamedCommandIsNotTooOld(t *testing.T) {
	olderAgree(t)
	for _, command := range []string{"XAUTOCLAIM", "ZMSCORE"} {
		require.NoError(t, harnessOn(t, servers.New(t, without(command))).store.Agree(context.Background()), command)
	}
}

// The look at the version takes no right.
func TestLookingForTheVersionNeedsNoRight(t *testing.T) {
	olderAgree(t)
	w := newHarness(t)
	w.Do("ACL", "SETUSER", "least", "on", "nopass", "~{shop-input}:meta", "~{shop-input}:sessions",
		"+ping", "+time", "+evalsha", "+eval", "+hmget", "+hsetnx", "+zcount")
	least, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{w.server.Addr()}, Username: "least", Password: "x", DisableCache: true, ForceSingleClient: true,
	})
	require.NoError(t, err)
	defer least.Close()
	require.NoError(t, Agree(w.ctx, NewRunner(least, nil), w.layout))
	log := w.Do("ACL", "LOG")
	require.NotContains(t, strings.ToLower(log.String()), "xautoclaim")
}

// The masters of a cluster may differ, and only one of them has the record.
func TestMasterThatIsTooOldRefusesToOpen(t *testing.T) {
	w := newHarness(t)
	script := NewScript("open", "local REDIS = redis\nlocal redis = setmetatable({ pcall = function(...)\n"+
		"  if (...) == 'XGROUP' and select(2, ...) == 'CREATECONSUMER' then\n"+
		"    return { err = \"ERR Unknown subcommand or wrong number of arguments for 'CREATECONSUMER'. Try XGROUP HELP.\" }\n"+
		"  end\n  return REDIS.pcall(...)\nend }, { __index = REDIS })\n"+luaText("open", "open"))
	was := scriptOpen
	scriptOpen = script
	t.Cleanup(func() { scriptOpen = was })
	_, err := w.store.Open(w.ctx, 0, alice, 0)
	require.False(t, Retryable(err), "%v", err)
	require.ErrorIs(t, Explain(err), api.ErrUnsupportedServer)
	require.ErrorContains(t, Explain(err), "XGROUP CREATECONSUMER on shop-input")
}
