package rights

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// toAsk are the rights to ask a server what is allowed, without trying it.
var toAsk = []string{"+acl|whoami", "+acl|dryrun"}

// toQueue are the rights to try a command without running it, where no script can: before Redis 7.0.
var toQueue = []string{"+multi", "+discard"}

func (h *harness) preflight(client rueidis.Client) *preflight.Report {
	h.T.Helper()
	report, err := engine.Preflight(context.Background(), client, service, engine.WithPartitions(partitions), engine.WithExpired())
	require.NoError(h.T, err)
	return report
}

// With the documented rights there is no finding about rights. With one right less, a finding names it and what to grant, whether
// the server can be asked or has to be tried. Nothing is written either way.
func TestPreflightNamesEachMissingRight(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		for _, how := range [][]string{toAsk, nil} {
			if h.Num("EVAL", "return redis.REDIS_VERSION_NUM and 7 or 6", "0") < 7 {
				how = append(how[:len(how):len(how)], toQueue...)
			}
			all := append(enough(), how...)
			client := h.connect(h.user("chat", all...))
			report := h.preflight(client)
			require.Empty(t, report.Of(preflight.Rights))
			require.NoError(t, report.Err())
			for i, rule := range all {
				if slices.Contains(toAsk, rule) || slices.Contains(toQueue, rule) || strings.HasPrefix(rule, "&__keyspace") {
					continue // one pattern of channels is enough, and which one depends on a setting of the server
				}
				h.user("chat", slices.Delete(slices.Clone(all), i, i+1)...)
				report := h.preflight(client)
				h.names(report, rule)
			}
		}
		keys := h.Do("KEYS", "*")
		made, err := keys.AsStrSlice()
		require.NoError(t, err)
		require.Empty(t, made)
	})
}

// An engine whose user lacks a right reports that at its start and ends, on every server: the wording of the error differs. That
// of Redis 7.2 and later was not recognized, and the start waited forever.
func TestStartWithoutARightEnds(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		for _, command := range []string{"zadd", "xclaim", "hsetnx"} {
			all := enough()
			opt := h.user("chat", slices.Delete(all, slices.Index(all, "+"+command), slices.Index(all, "+"+command)+1)...)
			e, err := engine.Open(opt, service, engine.WithPartitions(partitions))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			err = e.Run(ctx, api.HandlerFunc(func(context.Context, api.Notification) error { return nil }))
			cancel()
			require.ErrorContains(t, err, "grant")
			require.Contains(t, strings.ToLower(err.Error()), command)
		}
	})
}

// names checks that this rule is the only right that the report finds missing. (A rule that several parts need has a finding
// for each of them.)
func (h *harness) names(report *preflight.Report, rule string) {
	h.T.Helper()
	findings := report.Of(preflight.Rights)
	require.NotEmpty(h.T, findings, rule)
	for _, f := range findings {
		if rule == "+eval" && f.Severity == preflight.Note && strings.Contains(f.Seen, "HSETNX is unknown") {
			continue // a script tries it without writing
		}
		require.Contains(h.T, f.Do, rule, f)
		require.Equal(h.T, []string{h.server.Addr()}, f.Nodes)
		if name, is := strings.CutPrefix(rule, "+"); is {
			require.Contains(h.T, f.Seen, strings.ToUpper(strings.ReplaceAll(name, "|", " ")))
		}
	}
	// A right that an engine cannot do without is fatal; one that something else needs is not.
	without := slices.Contains(preflight.Rules(service, partitions, preflight.Always, preflight.ToSettle), rule)
	require.Equal(h.T, without, report.Err() != nil, "%s: %v", rule, report.Err())
}

// Next to consumers of another library that have entries pending, an engine checks their locks, which takes a right that nothing
// else needs.
func TestPreflightWhileMovingOver(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		k := h.layout.Keys(0)
		h.Do("XGROUP", "CREATE", k.Input, h.layout.Group(), "0", "MKSTREAM")
		h.Do("XADD", k.Input, "*", "lbs-input", `{"DataStreamName":"s"}`)
		client := h.connect(h.user("chat", enough()...))
		require.NoError(t, h.preflight(client).Err())
		h.Do("XREADGROUP", "GROUP", h.layout.Group(), "redis-consumer-1", "STREAMS", k.Input, ">")
		require.ErrorContains(t, h.preflight(client).Err(), "may not run EXISTS")
		h.user("chat", append(enough(), "+exists")...)
		require.NoError(t, h.preflight(client).Err())
	})
}

// Each server has its own users: a replica that lacks a right is found before it is promoted.
func TestPreflightFindsTheNodeThatLacksARight(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{})
	ctx := context.Background()
	rules := append([]string{"ACL", "SETUSER", "chat", "reset", "on", ">secret", "resetchannels"},
		preflight.Rules(service, 16, preflight.Always, preflight.ToSettle, preflight.OnCluster, preflight.ToCheckpoint, preflight.ToBalance)...)
	for _, node := range c.Nodes() {
		_, err := node.Call(ctx, rules...)
		require.NoError(t, err)
	}
	opt := c.ClientOption()
	opt.Username, opt.Password = "chat", "secret"
	opt.ClusterOption.ShardsRefreshInterval = 100 * time.Millisecond
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	// A replica is listed only after it has received something. Every master has some of these keys.
	admin := c.Client(t)
	for i := range 100 {
		require.NoError(t, admin.Do(ctx, admin.B().Set().Key(strconv.Itoa(i)).Value("x").Build()).Error())
	}
	require.Eventually(t, func() bool { return len(client.Nodes()) == len(c.Nodes()) }, patience, 10*time.Millisecond,
		"the client knows the replicas")
	look := func() *preflight.Report {
		report, err := engine.Preflight(ctx, client, service, engine.WithPartitions(16))
		require.NoError(t, err)
		return report
	}
	report := look()
	require.NoError(t, report.Err())
	require.Equal(t, 16, report.Spread.Partitions)
	require.Len(t, report.Spread.OnMaster, 3)
	require.Zero(t, report.Spread.Unserved)
	for _, f := range report.Of(preflight.Rights) {
		require.Equal(t, preflight.Note, f.Severity, f)
	}
	masters, err := c.Masters(ctx)
	require.NoError(t, err)
	replicas, err := c.Replicas(ctx, masters[0])
	require.NoError(t, err)
	_, err = replicas[0].Call(ctx, "ACL", "SETUSER", "chat", "-zadd")
	require.NoError(t, err)
	require.ErrorContains(t, look().Err(), "may not run ZADD ["+replicas[0].Addr()+"]")
}
