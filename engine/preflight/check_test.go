package preflight_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// world is a server, and the terms on which it is checked.
type world struct {
	t      *testing.T
	server *servers.Server
	client rueidis.Client
	terms  preflight.Terms
}

func newWorld(t *testing.T, args ...string) *world {
	server := servers.New(t, servers.Args(args...))
	return &world{t: t, server: server, client: server.Client(t), terms: terms(t, 2)}
}

func terms(t *testing.T, partitions int) preflight.Terms {
	layout, err := cluster.NewLayout("orders", partitions)
	require.NoError(t, err)
	return preflight.Terms{Layout: layout, LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second, Timeout: 5 * time.Second, Settle: true}
}

func (w *world) do(args ...string) rueidis.RedisMessage {
	w.t.Helper()
	m, err := w.client.Do(context.Background(), w.client.B().Arbitrary(args...).Build()).ToMessage()
	if !rueidis.IsRedisNil(err) {
		require.NoError(w.t, err, "%q", args)
	}
	return m
}

// version is that of the server, such as "7.0.15".
func (w *world) version() string {
	w.t.Helper()
	info, err := w.server.Info(context.Background(), "server")
	require.NoError(w.t, err)
	return info["redis_version"]
}

// look checks the server, and that the check wrote nothing.
func (w *world) look() *preflight.Report {
	w.t.Helper()
	return w.lookWith(w.client)
}

func (w *world) lookWith(client rueidis.Client) *preflight.Report {
	w.t.Helper()
	before := w.changes()
	report, err := preflight.Check(context.Background(), client, w.terms)
	require.NoError(w.t, err)
	require.Equal(w.t, before, w.changes(), "something was written")
	w.t.Log("\n" + report.String())
	return report
}

// changes returns the number of writes that the server has counted, and its keys.
func (w *world) changes() string {
	w.t.Helper()
	info, err := w.server.Info(context.Background(), "persistence")
	require.NoError(w.t, err)
	keys, err := w.client.Do(context.Background(), w.client.B().Keys().Pattern("*").Build()).AsStrSlice()
	require.NoError(w.t, err)
	slices.Sort(keys) // a hash table that grows lists them in another order each time
	return info["rdb_changes_since_last_save"] + strings.Join(keys, " ")
}

// as returns a client of a user with these access rules.
func (w *world) as(rules ...string) rueidis.Client {
	w.t.Helper()
	w.do(append([]string{"ACL", "SETUSER", "app", "reset", "on", "nopass"}, rules...)...)
	opt := w.server.ClientOption()
	opt.Username, opt.Password = "app", "any"
	client, err := rueidis.NewClient(opt)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

// found returns the first finding of a severity and subject whose text contains all of these words.
func found(t *testing.T, r *preflight.Report, s preflight.Severity, subject preflight.Subject, words ...string) preflight.Finding {
	t.Helper()
	for _, f := range r.Of(subject) {
		all := f.Severity == s
		for _, word := range words {
			all = all && strings.Contains(f.Seen+" "+f.Do, word)
		}
		if all {
			return f
		}
	}
	t.Fatalf("no %v of %s with %q", s, subject, words)
	return preflight.Finding{}
}

func TestNothingWrong(t *testing.T) {
	w := newWorld(t, "--appendonly", "yes", "--notify-keyspace-events", "Kx")
	w.terms = terms(t, 1)
	w.terms.Hints, w.terms.SetEvents = true, true
	r := w.look()
	require.NoError(t, r.Err())
	for _, f := range r.Findings {
		require.Equal(t, preflight.Note, f.Severity, f)
	}
	found(t, r, preflight.Note, preflight.Server, "Redis "+w.version())
	found(t, r, preflight.Note, preflight.Topology, "one server")
	found(t, r, preflight.Note, preflight.Layout, "orders is not in Redis yet")
	found(t, r, preflight.Note, preflight.Persistence, "about a second")
	found(t, r, preflight.Note, preflight.Events, `"xK"`)
	found(t, r, preflight.Note, preflight.Latency, "given up after 5s")
	require.Empty(t, r.Of(preflight.Rights))
}

// Somebody trims the input, or removes consumers: both leave numbers that do not agree. A service in which nobody does has
// neither, whatever waits in it.
func TestTrimmingAndRemovingShow(t *testing.T) {
	w := newWorld(t)
	w.terms = terms(t, 1)
	w.do("HSET", "{orders-input}:meta", "format", "1", "partitions", "1")
	require.Empty(t, w.look().Of(preflight.Announcements), "nothing is there")
	w.do("XGROUP", "CREATE", "orders-input", w.terms.Layout.Group(), "0", "MKSTREAM")
	for range 9 {
		w.do("XADD", "orders-input", "*", "lbs-input", `{"DataStreamName":"s"}`)
	}
	require.Empty(t, w.look().Of(preflight.Announcements), "all waits")
	w.do("XREADGROUP", "GROUP", w.terms.Layout.Group(), "a.1", "COUNT", "5", "STREAMS", "orders-input", ">")
	require.Empty(t, w.look().Of(preflight.Announcements), "some is pending")

	w.do("XTRIM", "orders-input", "MAXLEN", "6")
	found(t, w.look(), preflight.Warning, preflight.Announcements, "3 announcements", "no MAXLEN")
	w.do("XGROUP", "DELCONSUMER", "orders-input", w.terms.Layout.Group(), "a.1")
	found(t, w.look(), preflight.Warning, preflight.Announcements, "2 announcements", "Reannounce")
}

// What may cause trouble later is a warning; it keeps no engine from working.
func TestWhatWillHurt(t *testing.T) {
	w := newWorld(t, "--maxmemory", "50mb", "--maxmemory-policy", "volatile-lru", "--notify-keyspace-events", "g$E")
	w.terms.Hints = true
	r := w.look()
	require.NoError(t, r.Err())
	found(t, r, preflight.Warning, preflight.Eviction, "volatile-lru", "noeviction", "leases")
	found(t, r, preflight.Warning, preflight.Persistence, "nothing is kept on disk")
	found(t, r, preflight.Warning, preflight.Events, "no Expired hints")
	found(t, r, preflight.Note, preflight.Layout, "2 partitions on one server")

	w.do("CONFIG", "SET", "maxmemory", "1")
	w.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
	w.do("CONFIG", "SET", "save", "900 1")
	w.do("CONFIG", "SET", "notify-keyspace-events", "KEA")
	r = w.look()
	require.NoError(t, r.Err())
	found(t, r, preflight.Warning, preflight.Eviction, "announcements included")
	found(t, r, preflight.Warning, preflight.Eviction, "of maxmemory are in use")
	found(t, r, preflight.Warning, preflight.Persistence, "snapshots alone (save 900 1)")
	found(t, r, preflight.Note, preflight.Events, "every renewal")

	w.do("CONFIG", "SET", "maxmemory", "0")
	r = w.look()
	found(t, r, preflight.Note, preflight.Eviction, "allkeys-lfu", "once there is a maxmemory")
}

func TestAnotherNumberOfPartitions(t *testing.T) {
	w := newWorld(t)
	w.do("HSET", "{orders-input}:meta", "format", "1", "partitions", "16")
	r := w.look()
	found(t, r, preflight.Fatal, preflight.Layout, "has 16 partitions, 2 were asked for", "WithPartitions(16)")
	require.ErrorContains(t, r.Err(), "WithPartitions(16)")

	w.do("HSET", "{orders-input}:meta", "format", "7")
	found(t, w.look(), preflight.Fatal, preflight.Layout, `has "7"`)
	w.do("DEL", "{orders-input}:meta")
	w.do("SADD", "{orders-input}:meta", "x")
	found(t, w.look(), preflight.Fatal, preflight.Layout, "WRONGTYPE", "{orders-input}:meta")
}

func TestKeysOfAnotherType(t *testing.T) {
	for _, key := range []string{"orders-input", "{orders-input-1}:sessions", "{orders-input}:later", "{orders-input-1}:token", "{orders-input-1}-dlq"} {
		w := newWorld(t)
		w.do("SADD", key, "x")
		f := found(t, w.look(), preflight.Fatal, preflight.Layout, "another type", key)
		require.Len(t, f.Nodes, 1)
		// The same if a dry run is not allowed, so that commands are tried.
		found(t, w.lookWith(w.as("~*", "&*", "+@all", "-acl")), preflight.Fatal, preflight.Layout, "another type", key)
	}
}

func TestReplicas(t *testing.T) {
	w := newWorld(t)
	replica := servers.New(t, servers.ReplicaOf(w.server))
	r := w.look()
	found(t, r, preflight.Note, preflight.Replicas, "replicas: 1", "same users")
	found(t, r, preflight.Warning, preflight.Replicas, "min-replicas-to-write is 0", "below the session TTL of 10s")

	w.do("CONFIG", "SET", "min-replicas-to-write", "1")
	w.do("CONFIG", "SET", "min-replicas-max-lag", "6")
	require.Eventually(t, func() bool {
		info, err := w.server.Info(context.Background(), "replication")
		require.NoError(t, err)
		return info["min_slaves_good_slaves"] == "1"
	}, time.Minute, 10*time.Millisecond)
	found(t, w.look(), preflight.Warning, preflight.Replicas, "beyond half of the session TTL")
	w.do("CONFIG", "SET", "min-replicas-max-lag", "5")
	for _, f := range w.look().Of(preflight.Replicas) {
		require.Equal(t, preflight.Note, f.Severity, f)
	}
	w.do("CONFIG", "SET", "min-replicas-to-write", "2")
	found(t, w.look(), preflight.Fatal, preflight.Replicas, "NOREPLICAS")

	// The replica itself grants no leases.
	found(t, w.lookWith(replica.Client(t)), preflight.Fatal, preflight.Topology, "read-only replica")
	w.do("CONFIG", "SET", "min-replicas-to-write", "0")
	require.NoError(t, w.server.Kill())
	client := replica.Client(t)
	require.Eventually(t, func() bool {
		report, err := preflight.Check(context.Background(), client, w.terms)
		require.NoError(t, err)
		return strings.Contains(report.String(), "the link to its master is down")
	}, time.Minute, 10*time.Millisecond)
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	w.terms.Timeout = time.Second
	require.NoError(t, w.server.Pause())
	defer func() { require.NoError(t, w.server.Resume()) }()
	r, err := preflight.Check(context.Background(), w.client, w.terms)
	require.NoError(t, err)
	found(t, r, preflight.Fatal, preflight.Reach, "no answer")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = preflight.Check(ctx, w.client, w.terms)
	require.ErrorIs(t, err, context.Canceled)
}

// A timeout below the round trip can never work; one of a few round trips is tight.
func TestRoundTripsAgainstTheTimeout(t *testing.T) {
	w := newWorld(t)
	w.terms.Timeout = time.Nanosecond
	found(t, w.look(), preflight.Fatal, preflight.Latency, "given up after 1ns", "WithSessionTTL")
}

// If INFO and CONFIG are refused, what they would show is unknown, which is no fault.
func TestWhatMayNotBeLookedAt(t *testing.T) {
	w := newWorld(t)
	w.terms.Hints = true
	r := w.lookWith(w.as("~*", "&*", "+@all", "-config"))
	require.NoError(t, r.Err())
	found(t, r, preflight.Note, preflight.Events, "unknown, since CONFIG is refused")
	found(t, r, preflight.Note, preflight.Persistence, "unknown, since CONFIG is refused")
	r = w.lookWith(w.as("~*", "&*", "+@all", "-info", "-config"))
	found(t, r, preflight.Note, preflight.Reach, "INFO is refused")
	found(t, r, preflight.Fatal, preflight.Rights, "may not run INFO", "WithSettle(false)")
	w.terms.Settle = false
	require.NoError(t, w.lookWith(w.as("~*", "&*", "+@all", "-info", "-config")).Err())
}

// An operation on the service was begun and not finished, or somebody announced with another number of partitions.
func TestStoppedServiceAndLeftovers(t *testing.T) {
	w := newWorld(t)
	w.do("HSET", "{orders-input}:meta", "format", "1", "partitions", "2")
	w.do("XADD", "orders-input-1", "*", "f", "v")
	r := w.look()
	require.NoError(t, r.Err())
	for _, f := range r.Findings {
		require.NotContains(t, f.Seen, "nobody reads")
	}
	w.do("XADD", "orders-input-2", "*", "f", "v")
	w.do("XADD", "orders-input-1023", "*", "f", "v")
	w.do("SET", "orders-input-5", "x")
	found(t, w.look(), preflight.Warning, preflight.Layout, "2 announcements and schedules", "2 partitions", "orders-input-2:", "repartition it to 2")

	// If the user may not look at other partitions, nothing is reported about them.
	w.terms = terms(t, 1)
	w.do("HSET", "{orders-input}:meta", "partitions", "1")
	r = w.lookWith(w.as(preflight.Rules("orders", 1, preflight.Always, preflight.ToSettle)...))
	require.NoError(t, r.Err())
	for _, f := range r.Findings {
		require.NotContains(t, f.Seen, "nobody reads")
	}

	w.do("HSET", "{orders-input}:meta", "format", "1-repartitioning", "state", "repartitioning", "from", "2", "to", "4")
	found(t, w.look(), preflight.Fatal, preflight.Layout, "being repartitioned", "to 4 again", "streamlease")
}

// What the balance takes never stops a start: that its rights are missing, or that its keys are of another type, is a warning, in each
// partition.
func TestWhatTheBalanceTakesIsNeverFatal(t *testing.T) {
	all := preflight.Rules("orders", 2, preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToSignal, preflight.ToCheckpoint, preflight.ToInspect,
		preflight.ToBalance)
	for name, how := range map[string][]string{"asked": {"+acl|whoami", "+acl|dryrun"}, "tried": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, command := range []string{"hget", "hlen", "hgetall"} {
				rules := slices.DeleteFunc(slices.Concat(all, how), func(rule string) bool { return rule == "+"+command })
				r := w.lookWith(w.as(rules...))
				require.NoError(t, r.Err())
				f := found(t, r, preflight.Warning, preflight.Rights, strings.ToUpper(command), "streams are not spread evenly")
				require.Contains(t, f.Do, "+"+command)
				require.Empty(t, preflight.Missing(t.Context(), w.as(rules...), w.terms), "what a start that failed is explained by")
			}
			layout := w.terms.Layout
			keys := []string{layout.Wishes()}
			for p := range 2 {
				k := layout.Keys(p)
				keys = append(keys, k.Books, k.Load, k.Fleet)
			}
			rules := slices.DeleteFunc(slices.Concat(all, how), func(rule string) bool { return rule[0] == '~' })
			for p := range 2 {
				k := layout.Keys(p)
				rules = append(rules, "~"+k.Input, "~"+k.Lease("*"), "~"+k.Recover("*"), "~"+layout.Meta())
				for _, key := range []string{k.Sessions, k.Later, k.Token, k.Scan, k.DeadLetters, k.Checkpoints, k.Signals} {
					rules = append(rules, "~"+key)
				}
			}
			r := w.lookWith(w.as(rules...))
			require.NoError(t, r.Err())
			for _, key := range keys {
				found(t, r, preflight.Warning, preflight.Rights, "may not use the key "+key)
				w.do("SET", key, "x")
			}
			r = w.lookWith(w.as(slices.Concat(all, how)...))
			require.NoError(t, r.Err())
			for _, key := range keys {
				found(t, r, preflight.Warning, preflight.Layout, "a key of another type", key)
			}
		})
	}
}
