package preflight_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// reader returns the rules of a user that reads these streams, each of them with what it takes, without some.
func reader(r preflight.Reading, without ...string) []string {
	rules := preflight.Rules("orders", 1, preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToSignal, preflight.ToCheckpoint, preflight.ToBalance,
		preflight.ToInspect, preflight.OnCluster)
	rules = append(rules, preflight.ReadingRules(r)...)
	return slices.DeleteFunc(rules, func(rule string) bool { return slices.Contains(without, rule) })
}

// Whether a user may do something is asked of the server, or tried where that is refused.
var (
	asked = []string{"+acl|whoami", "+acl|dryrun", "+config|get"}
	tried = []string{"+acl|whoami"}
)

// reading is what everything of a feed takes.
func reading() preflight.Reading {
	return preflight.Reading{Streams: []string{"events:*", "audit"}, Tracks: true, Trims: true, PollEvery: 2 * time.Second}
}

// eachReader checks as a user of every kind of server, which can be asked what it may do and which cannot.
func eachReader(t *testing.T, test func(t *testing.T, w *world, how []string)) {
	for _, program := range servers.Available(t) {
		for name, how := range map[string][]string{"asked": asked, "tried": tried} {
			t.Run(program.String()+", "+name, func(t *testing.T) {
				server := servers.New(t, servers.On(program))
				w := &world{t: t, server: server, client: server.Client(t), terms: terms(t, 1)}
				reads := reading()
				w.terms.Reads = &reads
				test(t, w, how)
			})
		}
	}
}

// about returns the findings on rights and on tracking.
func about(r *preflight.Report) (all []string) {
	for _, f := range append(r.Of(preflight.Rights), r.Of(preflight.Tracking)...) {
		if !strings.Contains(f.Seen, "HSETNX is unknown") { // a script tries it without writing, from Redis 7.0 on
			all = append(all, f.Severity.String()+": "+f.Seen+". "+f.Do)
		}
	}
	return all
}

// Of each right that reading takes, a finding says what the feed does not do without it, and which rule grants it.
func TestEachRightToReadThatIsMissing(t *testing.T) {
	cases := []struct {
		without []string // rules
		want    string   // what the finding says, or "": there is none
		rule    string   // what it says to grant
	}{
		{nil, "", ""},
		{[]string{"+xread"}, "fatal: user app may not run XREAD on data streams: nothing is read", "+xread"},
		{[]string{"+xinfo|stream"}, "warning: user app may not run XINFO STREAM on data streams: a stream that was deleted", "+xinfo|stream"},
		{[]string{"+exists"}, "note: user app may not run EXISTS on data streams", "+exists"},
		{[]string{"+xtrim"}, "warning: user app may not run XTRIM on data streams: no handled message is deleted", "+xtrim"},
		{[]string{"+client|tracking"}, "warning: user app may not run CLIENT TRACKING: each stream is read every 2s, which is 5000 reads a second for 10,000 streams",
			"+client|tracking"},
		{[]string{"+hscan"}, "warning: user app may not run HSCAN, without which no positions are stored", "+hscan"},
		{[]string{"~events:*"}, "fatal: user app may not read the data streams events:*: each of them fails", "~events:*"},
		{[]string{"~audit"}, "fatal: user app may not read the data streams audit: each of them fails", "~audit"},
	}
	eachReader(t, func(t *testing.T, w *world, how []string) {
		for _, c := range cases {
			r := w.lookWith(w.as(append(reader(reading(), c.without...), how...)...))
			found := about(r)
			if c.want == "" {
				require.Empty(t, found)
				continue
			}
			require.Len(t, found, 1, c.without)
			require.Contains(t, found[0], c.want)
			require.Contains(t, found[0], "ACL SETUSER app "+c.rule)
			require.Equal(t, strings.HasPrefix(c.want, "fatal"), r.Err() != nil, c.without)
		}
	})
}

// XRANGE is also an engine's, and is reported for both.
func TestWithoutXRANGE(t *testing.T) {
	eachReader(t, func(t *testing.T, w *world, how []string) {
		r := w.lookWith(w.as(append(reader(reading(), "+xrange"), how...)...))
		f := found(t, r, preflight.Fatal, preflight.Rights, "may not run XRANGE on data streams", "nothing is read")
		require.Equal(t, "ACL SETUSER app +xrange", f.Do)
	})
}

// What a feed with another Config cannot do without is fatal, and what it does not use is not asked for.
func TestWhatReadingTakesDependsOnTheConfig(t *testing.T) {
	eachReader(t, func(t *testing.T, w *world, how []string) {
		look := func(change func(*preflight.Reading), without ...string) *preflight.Report {
			reads := reading()
			change(&reads)
			w.terms.Reads = &reads
			return w.lookWith(w.as(append(reader(reading(), without...), how...)...))
		}
		require.Empty(t, about(look(func(r *preflight.Reading) { r.Trims = false }, "+xtrim")))
		require.Empty(t, about(look(func(r *preflight.Reading) { r.Tracks = false }, "+client|tracking")))
		latest := func(r *preflight.Reading) { r.Latest = true }
		require.ErrorContains(t, look(latest, "+xinfo|stream").Err(), "no stream begins, since Latest looks for its end")
		require.ErrorContains(t, look(latest, "+hset").Err(), "Latest stores where")
		require.ErrorContains(t, look(func(r *preflight.Reading) { r.PollEvery = 0 }, "+client|tracking").Err(), "a feed with Mode Tracking does not run")
	})
}

// From Redis 7.0 on, keys may be granted for reading alone. That is enough to read, and not for scripts.
func TestKeysThatMayOnlyBeRead(t *testing.T) {
	eachReader(t, func(t *testing.T, w *world, how []string) {
		if strings.HasPrefix(w.version(), "6.") {
			t.Skip("NOT RUN before Redis 7.0: it has no such rules")
		}
		r := w.lookWith(w.as(append(reader(reading(), "~events:*"), append([]string{"%R~events:*"}, how...)...)...))
		require.NoError(t, r.Err())
		f := found(t, r, preflight.Warning, preflight.Rights, "may not use the data streams events:* in scripts", "a stream that was deleted")
		require.Equal(t, "ACL SETUSER app ~events:*", f.Do)
		require.Len(t, about(r), 1)
	})
}

// A connection that speaks RESP2 hears of no writes.
func TestRESP2(t *testing.T) {
	eachReader(t, func(t *testing.T, w *world, how []string) {
		w.as(append(reader(reading()), how...)...).Close()
		opt := w.server.ClientOption()
		opt.Username, opt.Password = "app", "any"
		opt.AlwaysRESP2, opt.DisableCache = true, true
		client, err := rueidis.NewClient(opt)
		require.NoError(t, err)
		defer client.Close()
		f := found(t, w.lookWith(client), preflight.Warning, preflight.Tracking, "speaks RESP2", "each stream is read every 2s")
		require.Contains(t, f.Do, "AlwaysRESP2")
		w.terms.Reads.PollEvery = 0
		require.ErrorContains(t, w.lookWith(client).Err(), "speaks RESP2")
		w.terms.Reads.Tracks = false
		require.NoError(t, w.lookWith(client).Err())
	})
}

// Some proxies know neither CLIENT TRACKING nor HELLO.
func TestServersThatDoNotTrack(t *testing.T) {
	w := newWorld(t, "--rename-command", "CLIENT", "", "--rename-command", "HELLO", "")
	w.terms = terms(t, 1)
	reads := reading()
	w.terms.Reads = &reads
	r := w.look()
	require.NoError(t, r.Err())
	found(t, r, preflight.Warning, preflight.Tracking, "CLIENT TRACKING is not known: each stream is read every 2s", "proxy")
	found(t, r, preflight.Warning, preflight.Tracking, "speaks RESP2")
}

// A small table of tracked keys is reported, and so is a data stream that is none.
func TestWhatElseMattersToReading(t *testing.T) {
	w := newWorld(t)
	w.terms = terms(t, 1)
	reads := reading()
	w.terms.Reads = &reads
	require.Empty(t, w.look().Of(preflight.Tracking))
	w.do("CONFIG", "SET", "tracking-table-max-keys", "1000")
	w.do("SADD", "audit", "x")
	r := w.look()
	require.NoError(t, r.Err())
	found(t, r, preflight.Note, preflight.Tracking, "tracking-table-max-keys is 1000")
	found(t, r, preflight.Warning, preflight.Layout, "another type", "audit")
	w.do("CONFIG", "SET", "tracking-table-max-keys", "0") // no limit
	require.Empty(t, w.look().Of(preflight.Tracking))
}

// A replica that lacks a right is found before it is promoted, whatever slots it has.
func TestRightsToReadOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	reads := reading()
	all := append([]string{"ACL", "SETUSER", "app", "reset", "on", "nopass"}, reader(reads)...)
	for _, node := range c.Nodes() {
		_, err := node.Call(t.Context(), all...)
		require.NoError(t, err)
	}
	_, err := c.Nodes()[1].Call(t.Context(), "ACL", "SETUSER", "app", "-xread")
	require.NoError(t, err)
	opt := c.ClientOption()
	opt.Username, opt.Password, opt.DisableCache = "app", "any", true
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	terms := terms(t, 1)
	terms.Reads = &reads
	r, err := preflight.Check(context.Background(), client, terms)
	require.NoError(t, err)
	require.Equal(t, []string{c.Nodes()[1].Addr()}, found(t, r, preflight.Fatal, preflight.Rights, "may not run XREAD on data streams").Nodes)
	require.Empty(t, r.Of(preflight.Tracking))
}

// The rules of names have the characters that patterns give a meaning.
func TestReadingRules(t *testing.T) {
	require.Equal(t, []string{`~a\*b:*`, `~\[c\]\?\\`, "~*", "+xread", "+xrange", "+xinfo|stream", "+exists"},
		preflight.ReadingRules(preflight.Reading{Streams: []string{`a*b:*`, `[c]?\`, "*"}}))
	require.Subset(t, preflight.ReadingRules(preflight.Reading{Tracks: true, Trims: true}), []string{"+xtrim", "+client|tracking"})
}
