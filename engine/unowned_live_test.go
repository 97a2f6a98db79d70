package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// A publisher that sees to it with every message that a stream has an owner announces it once while there is none, and not while there is
// one; and again when the owner is about to leave.
func TestOnlyIfUnowned(t *testing.T) {
	server := servers.New(t)
	ctx := context.Background()
	p, err := NewPublisher(server.Client(t), liveService)
	require.NoError(t, err)
	publish := func() string {
		entry, err := p.Publish(ctx, "s", map[string]int{"n": 1}, OnlyIfUnowned())
		require.NoError(t, err)
		return entry
	}
	first := publish()
	for range 100 { // a fleet that is down
		require.Equal(t, first, publish())
	}
	many, err := p.PublishMany(ctx, api.Announcement{Stream: "s", OnlyIfUnowned: true}, api.Announcement{Stream: "s"},
		api.Announcement{Stream: "other", OnlyIfUnowned: true}, api.Announcement{Stream: "s", OnlyIfUnowned: true})
	require.NoError(t, err)
	require.Equal(t, []string{first, first}, []string{many[0], many[3]})
	require.NotEmpty(t, many[2])

	l := startLive(t, server, nil)
	l.until("both are owned", func() bool { return l.Stats().Held == 2 && l.Stats().Parked == 1 })
	require.Empty(t, publish())
	many, err = p.PublishMany(ctx, api.Announcement{Stream: "other", OnlyIfUnowned: true})
	require.NoError(t, err)
	require.Equal(t, []string{""}, many)

	held, _ := l.Lease("other")
	require.NoError(t, l.Shut(ctx, held))
	next, err := p.Publish(ctx, "other", nil, OnlyIfUnowned())
	require.NoError(t, err)
	require.NotEmpty(t, next, "the owner is about to leave")
	again, err := p.Publish(ctx, "other", nil, OnlyIfUnowned())
	require.NoError(t, err)
	require.Equal(t, next, again)
	require.NoError(t, l.DoneIfShut(ctx, held))
	l.until("it is owned again", func() bool { now, ok := l.Lease("other"); return ok && now.Token() > held.Token() })
	require.Equal(t, 2, l.notified(api.Added, "other"))

	_, err = p.Publish(ctx, "s", nil, OnlyIfUnowned(), WithNotBefore(time.Now().Add(time.Hour)))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// Trace: an attempt to leave took the checkpoint along, as every ending does, and closed it. When the lease was held again, nothing that was
// set was stored any more.
func TestCheckpointAfterAnAttemptToLeave(t *testing.T) {
	server := servers.New(t)
	l := startLive(t, server, nil)
	ctx := context.Background()
	l.announce("s")
	l.until("it is owned", func() bool { return l.Stats().Held == 1 })
	held, _ := l.Lease("s")
	for n := range 3 {
		held.SetCheckpoint(fmt.Sprint("before ", n))
		require.NoError(t, l.Shut(ctx, held))
		require.NoError(t, l.Reopen(ctx, held))
		require.NoError(t, l.Shut(ctx, held))
		key := l.layout.Keys(0).Lease("s")
		answer := l.do("GET", key)
		text, err := answer.ToString()
		require.NoError(t, err)
		value, err := lease.ParseValue(text)
		require.NoError(t, err)
		value.Shut = ""
		l.do("SET", key, value.String(), "XX", "KEEPTTL")
		require.ErrorIs(t, l.DoneIfShut(ctx, held), api.ErrNotShut)
		require.Equal(t, fmt.Sprint("before ", n), held.Checkpoint())
		if n%2 == 0 {
			require.NoError(t, held.SaveCheckpoint(ctx, fmt.Sprint("after ", n)))
		}
	}
	require.NoError(t, l.Shut(ctx, held))
	require.NoError(t, l.DoneIfShut(ctx, held))
	l.announce("s")
	l.until("it is owned again", func() bool { return l.Stats().Held == 1 })
	held, _ = l.Lease("s")
	require.Equal(t, "after 2", held.Checkpoint())
	require.NoError(t, l.Shut(ctx, held))
	held.SetCheckpoint("last")
	require.NoError(t, l.DoneIfShut(ctx, held))
	l.announce("s")
	l.until("it is owned once more", func() bool { return l.Stats().Held == 1 })
	held, _ = l.Lease("s")
	require.Equal(t, "last", held.Checkpoint(), "it goes along")
}

// Trace: a slot migrates for a minute, and a thousand messages a second are sent to a stream of it. No script with two keys can find out who
// owns it. With one key each two can: else each message was an announcement, and the stream was handed on as often.
func TestOnlyIfUnownedWhileASlotMigrates(t *testing.T) {
	server := servers.New(t)
	p := proxy.New(t, server.Addr())
	for _, s := range lease.Scripts() {
		p.RegisterScript(s.Name(), s.Body())
	}
	client, err := rueidis.NewClient(p.ClientOption())
	require.NoError(t, err)
	defer client.Close()
	publisher, err := NewPublisher(client, liveService)
	require.NoError(t, err)
	ctx := context.Background()
	publish := func() string {
		defer p.Inject(proxy.Fault{Command: "announce", Nth: 1, Action: proxy.ReplyError,
			Error: "TRYAGAIN Multiple keys request during rehashing of slot"})()
		entry, err := publisher.Publish(ctx, "s", nil, OnlyIfUnowned())
		require.NoError(t, err)
		return entry
	}
	first := publish()
	require.NotEmpty(t, first)
	for range 5 {
		require.Equal(t, first, publish(), "it stands")
	}
	l := startLive(t, server, nil)
	l.until("it is owned", func() bool { return l.Stats().Held == 1 })
	remove := p.Inject(proxy.Fault{Command: "announce", Nth: 1, Action: proxy.ReplyError, Error: "TRYAGAIN Multiple keys"})
	many, err := publisher.PublishMany(ctx, api.Announcement{Stream: "s", OnlyIfUnowned: true}, api.Announcement{Stream: "other", OnlyIfUnowned: true})
	require.NoError(t, err)
	require.Empty(t, many[0], "it is owned")
	require.NotEmpty(t, many[1])
	remove()
	require.Empty(t, publish(), "it is owned")

	held, _ := l.Lease("s")
	require.NoError(t, l.Shut(ctx, held))
	next := publish()
	require.NotEmpty(t, next, "the entry goes with the owner")
	require.NotEqual(t, first, next)
	require.Equal(t, next, publish(), "that one stays")
	require.NoError(t, l.DoneIfShut(ctx, held))
	l.until("it is owned again", func() bool { now, ok := l.Lease("s"); return ok && now.Token() > held.Token() })
	require.Empty(t, publish())
}

// Without the rights that it takes, the error names them.
func TestOnlyIfUnownedNamesMissingRights(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	ctx := context.Background()
	require.NoError(t, client.Do(ctx, client.B().Arbitrary("ACL", "SETUSER", "publisher", "on", ">secret", "resetchannels", "+@all",
		"-xpending", "-get", "~*").Build()).Error())
	opt := server.ClientOption()
	opt.Username, opt.Password = "publisher", "secret"
	limited, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer limited.Close()
	p, err := NewPublisher(limited, liveService)
	require.NoError(t, err)
	_, err = p.Publish(ctx, "s", nil)
	require.NoError(t, err)
	_, err = p.Publish(ctx, "s", nil, OnlyIfUnowned())
	require.ErrorIs(t, err, api.ErrMissingRights)
	require.ErrorContains(t, err, "+get")
	require.ErrorContains(t, err, "+xpending")
}

// A layer on a real server: what NewClient makes reads what the engine's servers hold, and is replaced as the engine's own are.
func TestLayerOnARealServer(t *testing.T) {
	server := servers.New(t)
	e, err := Open(server.ClientOption(), liveService)
	require.NoError(t, err)
	r := newRecorder()
	r.runOn(e)
	ended := make(chan error, 1)
	go func() { ended <- e.RunLayer(context.Background(), r) }()
	client := server.Client(t)
	p, err := NewPublisher(client, liveService)
	require.NoError(t, err)
	for i := range 20 {
		_, err := p.Publish(context.Background(), fmt.Sprint("s", i), nil)
		require.NoError(t, err)
	}
	until := func(what string, ok func() bool) { require.Eventually(t, ok, time.Minute, 5*time.Millisecond, what) }
	until("all are held", func() bool { return e.Stats().Held == 20 })

	tuned := false
	own, err := e.NewClient(func(o *rueidis.ClientOption) { tuned = true; o.ClientName = "layer" })
	require.NoError(t, err)
	require.True(t, tuned)
	name, err := own.Do(context.Background(), own.B().ClientGetname().Build()).ToString()
	require.NoError(t, err)
	require.Equal(t, "layer", name)
	require.Len(t, e.clients(), 3)
	e.ResetTopology()
	until("it hears of the change", func() bool { return r.looked() > 0 })
	require.NoError(t, own.Do(context.Background(), own.B().Ping().Build()).Error())
	own.Close()
	own.Close()
	require.Len(t, e.clients(), 2)

	require.NoError(t, r.lease("s0").Done(context.Background()))
	r.finish("s0", nil)
	for i := 1; i < 20; i++ {
		r.finish(fmt.Sprint("s", i), nil) // handed back, and handed out again
	}
	until("all are held again", func() bool { return e.Stats().Held == 19 && r.of("s19") == "added, ended, added" })
	r.onReleasing = func(l api.Lease) { r.finish(l.Stream(), nil) }
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, <-ended)
	require.Equal(t, "added, ended", r.of("s0"))
	require.Equal(t, "added, ended, added, releasing, ended", r.of("s1"))
	r.check(t)
}
