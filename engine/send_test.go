package engine

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// What a publisher sends, and what a producer sends by the command of docs/producing.md, reaches the owner.
func TestSignalsReachTheOwnerOnARealServer(t *testing.T) {
	server := servers.New(t)
	var mu sync.Mutex
	var got []string
	l := startLive(t, server, func(_ context.Context, n api.Notification) error {
		if n.Kind == api.Signaled {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, n.Stream+" "+string(n.Payload))
		}
		return nil
	}, WithPartitions(3))
	c := server.Client(t)
	p := publisherFor(t, c, WithPartitions(3))
	names := []string{"a", "b", "c", "d"}
	for _, s := range names {
		l.announce(s)
	}
	l.until("all are owned", func() bool { return len(l.notifiedStreams(api.Added)) == len(names) })
	var want []string
	for _, s := range names {
		require.NoError(t, p.Signal(t.Context(), s, []byte("\x00 of a publisher")))
		want = append(want, s+" \x00 of a publisher", s+" reload")
		l.do("XADD", p.layout.Keys(p.layout.Of(s)).Signals, "MAXLEN", "~", "10000", "*", "stream", s, "kind", "user", "payload", "reload")
	}
	require.NoError(t, p.Signal(t.Context(), "a", nil))
	require.NoError(t, p.Signal(t.Context(), "nobody's", []byte("x")))
	l.until("all signals have come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == len(want)+1
	})
	require.ElementsMatch(t, append(want, "a "), got)
}

func TestSignalRefusesWhatCannotBeDelivered(t *testing.T) {
	server := servers.New(t)
	c := server.Client(t)
	p := publisherFor(t, c)
	ctx := t.Context()
	for _, name := range []string{"", strings.Repeat("x", cluster.MaxStreamName+1), "orders-input", "{orders-input}:signals", "\xff"} {
		err := p.Signal(ctx, name, nil)
		require.ErrorIs(t, err, api.ErrInvalidStream, "%.20q", name)
		require.Less(t, len(err.Error()), 400)
	}
	require.NoError(t, p.Signal(ctx, "s", make([]byte, api.MaxSignal)))
	err := p.Signal(ctx, "s", make([]byte, api.MaxSignal+1))
	require.ErrorIs(t, err, api.ErrTooLarge)
	require.ErrorContains(t, err, "4097 bytes, the limit is 4096")
	other := publisherFor(t, c, WithPartitions(2))
	require.ErrorIs(t, other.Signal(ctx, "s", nil), api.ErrPartitionMismatch)

	key := p.layout.Keys(0).Signals
	require.NoError(t, c.Do(ctx, c.B().Del().Key(key).Build()).Error())
	require.NoError(t, c.Do(ctx, c.B().Set().Key(key).Value("mine").Build()).Error())
	require.ErrorContains(t, p.Signal(ctx, "s", nil), "delete or rename it")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, p.Signal(ended, "s", nil), context.Canceled)

	// A user with the rights of a publisher and none to signals.
	require.NoError(t, c.Do(ctx, c.B().Arbitrary("ACL", "SETUSER", "limited", "on", ">secret", "resetchannels", "~orders-input",
		"~{orders-input}:meta", "~{orders-input}:sessions", "+@all").Build()).Error())
	option := server.ClientOption()
	option.Username, option.Password = "limited", "secret"
	limited, err := rueidis.NewClient(option)
	require.NoError(t, err)
	defer limited.Close()
	require.ErrorContains(t, publisherFor(t, limited).Signal(ctx, "s", nil), "NOPERM")
}
