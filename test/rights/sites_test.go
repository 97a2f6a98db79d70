package rights

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// grant makes a user on some servers, with these rights only.
func grant(t *testing.T, where []*servers.Server, rules ...string) {
	t.Helper()
	for _, s := range where {
		_, err := s.Call(context.Background(), append([]string{"ACL", "SETUSER", "chat", "reset", "on", ">secret", "resetchannels"}, rules...)...)
		require.NoError(t, err)
	}
}

// runLife runs an engine as that user: streams of every partition are announced, owned and done, before change and after it.
func runLife(t *testing.T, opt rueidis.ClientOption, change func()) {
	t.Helper()
	const streams = 64
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	publisher, err := engine.NewPublisher(client, service, engine.WithPartitions(16))
	require.NoError(t, err)
	e, err := engine.Open(opt, service, engine.WithPartitions(16), engine.WithLeaseTTL(3*time.Second))
	require.NoError(t, err)
	done := make(chan string, 2*streams)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Run(ctx, api.Funcs{Added: func(ctx context.Context, n api.Notification) error {
			if err := n.Lease.Done(ctx); err != nil {
				return err
			}
			done <- n.Stream
			return nil
		}})
	}()
	for round := range 2 {
		left := make(map[string]bool)
		for i := range streams {
			stream := fmt.Sprintf("%d-%d", round, i)
			left[stream] = true
			require.Eventually(t, func() bool {
				_, err := publisher.Publish(ctx, stream, nil)
				return err == nil
			}, patience, 50*time.Millisecond)
		}
		for len(left) > 0 {
			select {
			case stream := <-done:
				delete(left, stream)
			case err := <-ended:
				t.Fatalf("ended: %v", err)
			case <-ctx.Done():
				t.Fatalf("not done: %v", left)
			}
		}
		if round == 0 {
			change()
		}
	}
	require.NoError(t, e.Shutdown(ctx))
	require.NoError(t, <-ended)
}

func TestDocumentedRightsOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{})
	grant(t, c.Nodes(), preflight.Rules(service, 16, needs...)...)
	opt := c.ClientOption()
	opt.Username, opt.Password = "chat", "secret"
	runLife(t, opt, func() {
		masters, err := c.Masters(context.Background())
		require.NoError(t, err)
		replicas, err := c.Replicas(context.Background(), masters[0])
		require.NoError(t, err)
		require.NoError(t, c.Failover(context.Background(), replicas[0], servers.Graceful))
	})
	nothingElseRefused(t, c.Nodes())
}

// The users that announce can do so on a cluster, too.
func TestDocumentedRightsToAnnounceOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{})
	ctx := context.Background()
	opt := c.ClientOption()
	opt.Username, opt.Password = "chat", "secret"
	layout, err := cluster.NewLayout(service, 16)
	require.NoError(t, err)
	for _, rules := range [][]string{preflight.PublisherRules(service, 16), preflight.ProducerRules(service, 16)} {
		grant(t, c.Nodes(), rules...)
		client, err := rueidis.NewClient(opt)
		require.NoError(t, err)
		defer client.Close()
		for p := range 16 {
			add := client.B().Xadd().Key(layout.Keys(p).Input).Id("*").FieldValue().FieldValue("lbs-input", `{"DataStreamName":"s"}`).Build()
			require.NoError(t, client.Do(ctx, add).Error())
		}
		if slices.Contains(rules, "+evalsha") {
			publisher, err := engine.NewPublisher(client, service, engine.WithPartitions(16))
			require.NoError(t, err)
			_, err = publisher.Publish(ctx, "s", nil)
			require.NoError(t, err)
		}
	}
	nothingElseRefused(t, c.Nodes())
}

func TestDocumentedRightsBehindSentinel(t *testing.T) {
	s := servers.NewSentinel(t, servers.SentinelOptions{})
	grant(t, s.Servers(), append(preflight.Rules(service, 16, needs...), "+role")...)
	grant(t, s.Sentinels(), "&*", "+sentinel", "+subscribe", "+unsubscribe", "+ping")
	opt := s.ClientOption()
	opt.Username, opt.Password = "chat", "secret"
	opt.Sentinel.Username, opt.Sentinel.Password = "chat", "secret"
	runLife(t, opt, func() {
		_, err := s.Failover(context.Background())
		require.NoError(t, err)
		// Until then the old master accepts writes, which are lost.
		require.NoError(t, s.AwaitReady(context.Background()))
	})
	nothingElseRefused(t, slices.Concat(s.Servers(), s.Sentinels()))
}
