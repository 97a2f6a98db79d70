package reading

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// What somebody does to a stream that is at rest is rung, and what was read then shows it, or a look at the stream does.
func TestStreamsAreTamperedWith(t *testing.T) {
	each(t, func(t *testing.T, s *servers.Server) {
		r := start(t, s.ClientOption(), nil)
		open := func(name string) *source {
			src := newSource(name)
			src.add(r)
			allResting(t, r)
			return src
		}

		reborn := open("reborn")
		call(t, s, "XADD", "reborn", "5-1", "a", "b")
		eventually(t, "a message", func() bool { return reborn.seen() == 1 })
		allResting(t, r)
		call(t, s, "DEL", "reborn")
		call(t, s, "XADD", "reborn", "3-1", "a", "b")
		eventually(t, "the stream was created again", func() bool {
			info, _ := reborn.lastInfo()
			return info.Exists && info.Last == "3-1" && info.First == "3-1" && info.Length == 1
		})

		from, to := open("from"), open("to")
		call(t, s, "XADD", "from", "7-1", "a", "b")
		eventually(t, "a message", func() bool { return from.seen() == 1 })
		allResting(t, r)
		call(t, s, "RENAME", "from", "to")
		eventually(t, "the old name is empty, the new one is not", func() bool {
			info, ok := from.lastInfo()
			return ok && !info.Exists && to.seen() == 1
		})

		wrong := open("wrong")
		wrong.then = func(s *source, r Result) Then { return Rest }
		call(t, s, "SET", "wrong", "text")
		eventually(t, "no stream", func() bool { return len(wrong.failures()) == 1 })
		require.ErrorContains(t, wrong.failures()[0], "WRONGTYPE")
		require.True(t, Permanent(wrong.failures()[0]))
		allResting(t, r)
		call(t, s, "DEL", "wrong")
		call(t, s, "XADD", "wrong", "*", "a", "b")
		eventually(t, "it is one again", func() bool { return wrong.seen() == 1 })

		held := open("held")
		held.then = func(s *source, r Result) Then { return Hold }
		call(t, s, "XADD", "held", "1-1", "a", "b")
		eventually(t, "a message", func() bool { return held.seen() == 1 })
		for i := range 10 {
			call(t, s, "XADD", "held", fmt.Sprintf("2-%d", i+1), "a", "b")
		}
		call(t, s, "XTRIM", "held", "MAXLEN", "2")
		eventually(t, "it is held", func() bool { return r.Stats().Held == 1 })
		require.Equal(t, 1, held.seen())
		held.handle.Wake(false)
		eventually(t, "what was left", func() bool { return held.seen() == 3 })
		require.Equal(t, "2-9", held.got[1].ID)

		call(t, s, "FLUSHALL")
		eventually(t, "all gone", func() bool {
			for _, src := range []*source{reborn, from, to, wrong} {
				if info, _ := src.lastInfo(); info.Exists {
					return false
				}
			}
			return true
		})
		require.Zero(t, r.Stats().Count(SweepFound))
	})
}

// What nothing rings for is found by the sweep: databases that were swapped.
func TestSweepFinds(t *testing.T) {
	s := servers.New(t)
	r := start(t, s.ClientOption(), func(c *Config) { c.Sweep = 200 * time.Millisecond })
	src := newSource("s")
	src.add(r)
	allResting(t, r)
	o := s.ClientOption()
	o.SelectDB = 1
	other, err := rueidis.NewClient(o)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Do(t.Context(), other.B().Xadd().Key("s").Id("*").FieldValue().FieldValue("a", "b").Build()).Error())
	eventually(t, "the same name in another database rings", func() bool { return r.Stats().Count(Rings) > 0 })
	allResting(t, r)
	require.Zero(t, src.seen())
	call(t, s, "SWAPDB", "0", "1")
	eventually(t, "found", func() bool { return src.seen() == 1 })
	require.NotZero(t, r.Stats().Count(SweepFound))
	looks := r.Stats().Count(Looks)
	eventually(t, "the sweep looks at a stream now and then", func() bool { return r.Stats().Count(Looks) > looks })
}

// Names may be anything, and messages may be large: 64 MiB take seconds on a machine that does much else, so this reader has the time.
func TestHostileStreams(t *testing.T) {
	const patient = time.Minute
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	option := c.ClientOption()
	option.ConnWriteTimeout = patient
	set := inCluster(t, c)
	r := start(t, option, func(cfg *Config) { set(cfg); cfg.Timeout = patient })
	client := c.Client(t)
	names := []string{"{", "{}", "}{", "a{b}c", "{{x}}", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "\x00", " ", "\xff\xfe", "$", ">", strings.Repeat("x", 64<<10)}
	var all []*source
	for _, name := range names {
		src := newSource(name)
		src.add(r)
		all = append(all, src)
	}
	allResting(t, r)
	for _, name := range names {
		require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key(name).Id("*").FieldValue().FieldValue(name, name).Build()).Error())
	}
	for i, src := range all {
		eventually(t, names[i][:1], func() bool { return src.seen() == 1 })
		require.Equal(t, []Field{{names[i], names[i]}}, src.got[0].Fields)
	}

	large := newSource("large")
	large.add(r)
	allResting(t, r)
	xadd := client.B().Xadd().Key("large").Id("*").FieldValue()
	for i := range 10_000 {
		xadd = xadd.FieldValue(fmt.Sprint("f", i%7), fmt.Sprint(i))
	}
	require.NoError(t, client.Do(t.Context(), xadd.Build()).Error())
	huge := strings.Repeat("0123456789abcdef", 64<<20/16)
	require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key("large").Id("*").FieldValue().FieldValue("huge", huge).Build()).Error())
	require.True(t, wait.For(2*patient, 10*time.Millisecond, func() bool { return large.seen() == 2 }), "both")
	require.Len(t, large.got[0].Fields, 10_000)
	require.Equal(t, Field{"f0", "7"}, large.got[0].Fields[7])
	require.True(t, large.got[1].Fields[0].Value == huge)
	allResting(t, r)
	require.Zero(t, r.Stats().UsedBytes)
}

// What was read and not released is bounded, whatever is waiting, and all of it comes.
func TestMemoryIsBounded(t *testing.T) {
	s := servers.New(t)
	client := s.Client(t)
	const streams, messages, size, most = 60, 20, 100 << 10, 4 << 20
	value := strings.Repeat("x", size)
	for i := range streams {
		for range messages {
			require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key(fmt.Sprint("s", i)).Id("*").FieldValue().FieldValue("v", value).Build()).Error())
		}
	}
	r := start(t, s.ClientOption(), func(c *Config) { c.MaxBytes = most })
	type kept struct {
		s *source
		n int
	}
	held := make(chan kept, streams*messages)
	all := make([]*source, streams)
	for i := range all {
		all[i] = newSource(fmt.Sprint("s", i))
		all[i].keep = false
		all[i].then = func(s *source, r Result) Then {
			if r.Bytes == 0 {
				return Rest
			}
			held <- kept{s, r.Bytes}
			return Hold
		}
		all[i].add(r)
	}
	greatest := int64(0)
	for got := 0; got < streams*messages; {
		k := <-held
		got = 0
		for _, src := range all {
			got += src.seen()
		}
		greatest = max(greatest, r.Stats().UsedBytes)
		r.Release(k.n)
		k.s.handle.Wake(true)
	}
	for len(held) > 0 {
		r.Release((<-held).n)
	}
	eventually(t, "all released", func() bool { return r.Stats().UsedBytes == 0 })
	t.Logf("at most %d of %d bytes", greatest, most)
	require.LessOrEqual(t, greatest, int64(most+most/8+4*size), "MaxBytes, and what is counted twice while it is passed on")
	require.Greater(t, greatest, int64(most/2), "it is used")
}

// Where tracking is refused, streams are polled, or Run says so.
func TestTrackingIsRefused(t *testing.T) {
	for name, s := range map[string]func(t *testing.T) (*servers.Server, string){
		"rights": func(t *testing.T) (*servers.Server, string) {
			s := servers.New(t)
			call(t, s, "ACL", "SETUSER", "poor", "on", ">secret", "~*", "+@all", "-client|tracking")
			return s, "poor"
		},
		"RESP2": func(t *testing.T) (*servers.Server, string) {
			return servers.New(t, servers.Args("--rename-command", "HELLO", "")), ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, user := s(t)
			o := s.ClientOption()
			if o.Username = user; user != "" {
				o.Password = "secret"
			}
			r := start(t, o, func(c *Config) { c.Mode, c.PollEvery = Auto, 50*time.Millisecond })
			src := newSource("s")
			src.add(r)
			for i := range 3 {
				call(t, s, "XADD", "s", "*", "a", "b")
				eventually(t, "polled", func() bool { return src.seen() == i+1 })
			}
			require.True(t, r.Stats().Polling)
			require.Zero(t, r.Stats().Count(SweepFound))

			strict, err := New(Config{NewClient: r.cfg.NewClient, Client: r.cfg.Client, Mode: Tracking})
			require.NoError(t, err)
			require.ErrorIs(t, strict.Run(t.Context()), ErrRefused)
		})
	}
}

// Rights that are taken while it runs have a reader poll.
func TestTrackingIsRefusedLater(t *testing.T) {
	s := servers.New(t)
	call(t, s, "ACL", "SETUSER", "poor", "on", ">secret", "~*", "+@all")
	o := s.ClientOption()
	o.Username, o.Password = "poor", "secret"
	r := start(t, o, func(c *Config) { c.Mode, c.PollEvery = Auto, 50*time.Millisecond })
	src := newSource("s")
	src.add(r)
	allResting(t, r)
	require.False(t, r.Stats().Polling)
	call(t, s, "ACL", "SETUSER", "poor", "-client|tracking")
	call(t, s, "CLIENT", "KILL", "TYPE", "normal")
	eventually(t, "it polls", func() bool { return r.Stats().Polling })
	call(t, s, "XADD", "s", "*", "a", "b")
	eventually(t, "polled", func() bool { return src.seen() == 1 })
}

// A key to which rights are missing is reported to its source, and concerns no other. Without the rights to look at streams, they are
// read, and not looked at.
func TestRightsAreMissing(t *testing.T) {
	s := servers.New(t)
	call(t, s, "ACL", "SETUSER", "poor", "on", ">secret", "~ours:*", "+@all", "-eval", "-evalsha", "-exists")
	o := s.ClientOption()
	o.Username, o.Password = "poor", "secret"
	r := start(t, o, nil)
	ours, theirs := newSource("ours:1"), newSource("theirs:1")
	ours.add(r)
	theirs.add(r)
	eventually(t, "refused", func() bool { return len(theirs.failures()) == 1 })
	require.ErrorContains(t, theirs.failures()[0], "NOPERM")
	eventually(t, "at rest", func() bool { return r.Stats().Resting == 1 })
	call(t, s, "XADD", "ours:1", "*", "a", "b")
	eventually(t, "read", func() bool { return ours.seen() == 1 })
	_, looked := ours.lastInfo()
	require.False(t, looked)
}

// No call begins once Remove has returned and whatever was under way has ended, and Run leaves nothing behind.
func TestRemoveAndStop(t *testing.T) {
	s := servers.New(t)
	client := s.Client(t)
	cfg := Config{NewClient: dial(s.ClientOption()), Client: client, Sweep: NoSweep}
	r, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	src := newSource("s")
	h := src.add(r)
	allResting(t, r)
	h.Remove()
	h.Remove()
	h.Wake(true)
	calls := src.calls.Load()
	call(t, s, "XADD", "s", "*", "a", "b")
	eventually(t, "a ring of nobody's", func() bool { return r.Stats().Count(Strays) == 1 })
	require.Equal(t, calls, src.calls.Load())
	second := newSource("s")
	second.add(r)
	eventually(t, "it can be added again", func() bool { return second.seen() == 1 })
	third := newSource("s")
	third.add(r)
	eventually(t, "another one replaces it", func() bool { return third.seen() == 1 })
	require.Equal(t, 1, r.Stats().Streams)

	last, err := r.LastID(ctx, "s")
	require.NoError(t, err)
	require.Equal(t, third.got[0].ID, last)
	last, err = r.LastID(ctx, "absent")
	require.NoError(t, err)
	require.Empty(t, last)

	cancel()
	require.NoError(t, <-ended)
	calls = third.calls.Load()
	call(t, s, "XADD", "s", "*", "a", "b")
	third.handle.Wake(true)
	newSource("later").add(r)
	r.Topology()
	r.Release(0)
	require.Equal(t, calls, third.calls.Load())
	require.ErrorIs(t, r.Run(t.Context()), errRan)
	early, err := New(cfg)
	require.NoError(t, err)
	newSource("s").add(early)
	ended2, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, early.Run(ended2))
}

// What the user's options say about replicas, lifetimes and pipelining does not reach the client that tracks.
func TestTune(t *testing.T) {
	s := servers.New(t)
	o := s.ClientOption()
	o.ConnLifetime, o.DisableAutoPipelining, o.BlockingPipeline = time.Second, true, 1
	o.SendToReplicas, o.ClientTrackingOptions = func(rueidis.Completed) bool { return true }, []string{"OPTIN", "NOLOOP"}
	o.Standalone.ReplicaAddress, o.ForceSingleClient = []string{s.Addr()}, false
	r, err := New(Config{NewClient: dial(o), Client: s.Client(t), Mode: Tracking, Sweep: NoSweep})
	require.NoError(t, err)
	run(t, r)
	src := newSource("s")
	src.add(r)
	allResting(t, r)
	require.Equal(t, "1", trackers(t, s), "one connection")
	call(t, s, "XADD", "s", "*", "a", "b")
	eventually(t, "rung", func() bool { return src.seen() == 1 })
}

// trackers returns how many connections track, as the server counts them.
func trackers(t *testing.T, s *servers.Server) string {
	info, err := s.Info(t.Context(), "clients")
	require.NoError(t, err)
	return info["tracking_clients"]
}

// What a reader cannot do is said when it is made.
func TestConfigErrors(t *testing.T) {
	for _, c := range []Config{{}, {Mode: Polling}, {Mode: 7}} {
		_, err := New(c)
		require.Error(t, err)
	}
}

// A stream of which nothing was read yet may have messages of any size: one is read, and the rest by its size.
func TestFirstReadOfLargeMessages(t *testing.T) {
	s := servers.New(t)
	const messages, size, most = 60, 1 << 20, 4 << 20
	client := s.Client(t)
	value := strings.Repeat("x", size)
	for i := range messages {
		require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key("s").Id(fmt.Sprint(i+1, "-1")).FieldValue().FieldValue("v", value).Build()).Error())
	}
	r := start(t, s.ClientOption(), func(c *Config) { c.MaxBytes = most })
	src := newSource("s")
	src.keep = false
	var pages []int
	src.then = func(_ *source, x Result) Then {
		if x.Bytes == 0 {
			return Rest
		}
		pages = append(pages, len(x.Messages))
		r.Release(x.Bytes)
		return Again
	}
	src.add(r)
	eventually(t, "all is read", func() bool { return src.seen() == messages })
	allResting(t, r)
	require.Len(t, pages, messages, "one at a time: each is larger than a share of the budget")
}
