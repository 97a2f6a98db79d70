package rights

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// enough returns the documented rights of an engine that uses every feature.
func enough() []string {
	return preflight.Rules(service, partitions, preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.WithHints,
		preflight.ToInspect, preflight.ToCheckpoint, preflight.ToBalance)
}

// tally counts what an engine was notified of.
type tally struct {
	mu    sync.Mutex
	kinds map[api.Kind]int
	times map[string]int
}

func (x *tally) kind(k api.Kind) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.kinds[k]
}

// stream returns how often a stream was owned.
func (x *tally) stream(s string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.times[s]
}

// Handle ends a stream as its name says.
func (x *tally) Handle(ctx context.Context, n api.Notification) error {
	x.mu.Lock()
	x.kinds[n.Kind]++
	if n.Kind == api.Added {
		x.times[n.Stream]++
	}
	again := x.times[n.Stream] > 1
	x.mu.Unlock()
	if n.Kind != api.Added {
		return nil
	}
	switch {
	case n.Stream == "permanent" && !again:
		return api.Permanent(errors.New("by request"))
	case n.Stream == "failed" && !again:
		return errors.New("by request")
	case n.Stream == "released" && !again:
		return n.Lease.Release(ctx)
	case n.Stream == "kept", n.Stream == "kept too":
		return nil
	}
	return n.Lease.Done(ctx)
}

// A user with the documented rights, and no others, can do everything that an engine, a publisher and an inspector do, and uses
// no command on any key that is not in the table.
func TestDocumentedRightsAreEnough(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		opt := h.user("chat", enough()...)
		publisher, err := engine.NewPublisher(h.connect(h.user("chat-publisher", preflight.PublisherRules(service, partitions)...)), service,
			engine.WithPartitions(partitions))
		require.NoError(t, err)
		seen, stop := h.watch()

		// An earlier engine died after it had read an announcement.
		_, err = publisher.Publish(ctx, "orphan", nil)
		require.NoError(t, err)
		k := h.layout.Keys(h.layout.Of("orphan"))
		h.Do("XGROUP", "CREATE", k.Input, h.layout.Group(), "0")
		h.Do("XREADGROUP", "GROUP", h.layout.Group(), "dead.1", "STREAMS", k.Input, ">")
		h.Do("ZADD", k.Sessions, "1", "dead.1")

		streams := []string{"done", "failed", "permanent", "released", "kept", "kept too", "kept"}
		for _, s := range streams {
			_, err := publisher.Publish(ctx, s, nil)
			require.NoError(t, err)
		}
		_, err = publisher.Publish(ctx, "late", nil, engine.WithNotBefore(time.Now().Add(2*time.Second)))
		require.NoError(t, err)

		e, err := engine.Open(opt, service, engine.WithPartitions(partitions), engine.WithLeaseTTL(9*time.Second), engine.WithExpired())
		require.NoError(t, err)
		x := &tally{kinds: make(map[api.Kind]int), times: make(map[string]int)}
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx, x) }()
		defer func() {
			require.NoError(t, e.Shutdown(ctx))
			require.NoError(t, <-ended)
			stop()
			h.allListed(seen, 30)
		}()

		h.until("all have been owned", func() bool {
			return x.stream("done") == 1 && x.stream("failed") == 2 && x.stream("released") == 2 && x.stream("kept") == 1 &&
				x.stream("kept too") == 1 && x.stream("orphan") == 1 && x.stream("late") == 1 && x.kind(api.Superseded) == 1
		})
		require.ErrorIs(t, e.Requeue(ctx, "kept"), api.ErrHeldElsewhere)
		require.ErrorIs(t, e.Requeue(ctx, "nobody's"), api.ErrNotAnnounced)
		require.NoError(t, e.DoneStream(ctx, "kept too"))
		h.until("an expired key is reported", func() bool {
			h.Do("SET", k.Lease("somebody else's"), "other.1 1 1-1", "PX", "1")
			h.Do("EXISTS", k.Lease("somebody else's")) // expires it
			return x.kind(api.Expired) > 0
		})
		h.inspect(ctx, x)
		require.Zero(t, x.kind(api.Disowned))
	})
}

// A user with the rights documented for it can delete and repartition a service, and uses no others.
func TestDocumentedRightsAreEnoughToOperate(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		rules := preflight.Rules(service, cluster.MaxPartitions, preflight.Always, preflight.ToInspect, preflight.ToOperate)
		i, err := scan.NewInspector(h.connect(h.user("chat", rules...)), service, scan.InspectorConfig{})
		require.NoError(t, err)
		publisher, err := engine.NewPublisher(h.Client, service, engine.WithPartitions(partitions))
		require.NoError(t, err)
		for n := range 20 {
			_, err = publisher.Publish(ctx, strconv.Itoa(n), nil)
			require.NoError(t, err)
		}
		for p := range partitions {
			k := h.layout.Keys(p)
			h.Do("XADD", k.DeadLetters, "*", lease.FieldAnnouncement, `{"DataStreamName":"dead"}`)
			h.Do("EVAL", `redis.call('ZADD', KEYS[1], 4000000000000, cmsgpack.pack({'1-1', {'lbs-input', '{"DataStreamName":"later"}'}}))`, "1", k.Later)
			h.Do("HSET", k.Schedules, "a", "7 row", "b", "7 row", "c", "7 row", "d", "7 row")
			h.Do("SET", k.Token, "7")
			h.Do("SET", k.Scan, "x")
			h.Do("SET", k.Lease("s"), "dead.1 1 1-1")
			h.Do("SET", k.Recover("dead.1"), "x")
			h.Do("HSET", k.Books, "sums", "1000 0 1 0")
			h.Do("ZADD", k.Load, "1", "dead.1")
			h.Do("HSET", k.Fleet, "dead.1", "1000 0 0 shares")
			h.Do("ZADD", k.Sessions, "1", "dead.1")
		}
		h.Do("HSET", h.layout.Wishes(), "freeze:", "freeze 4000000000000 0 ")
		five, err := cluster.NewLayout(service, 5)
		require.NoError(t, err)
		h.layout = five
		seen, stop := h.watch()
		for _, n := range []int{5, 1} {
			_, err = i.Repartition(ctx, n, nil)
			require.NoError(t, err)
		}
		_, err = i.DeleteService(ctx, nil)
		require.NoError(t, err)
		stop()
		for at, line := range seen.all {
			if at.key == preflight.NoKey && strings.Contains(line, "chat-input-") {
				delete(seen.all, at) // of partitions that never existed
			}
		}
		h.allListed(seen, 30)
		require.Zero(t, h.Num("DBSIZE"))
	})
}

// inspect looks at everything from outside, and sends the dead letter back.
func (h *harness) inspect(ctx context.Context, x *tally) {
	h.T.Helper()
	i, err := scan.NewInspector(h.connect(h.user("chat", enough()...)), service, scan.InspectorConfig{})
	require.NoError(h.T, err)
	h.until("the dead letter", func() bool {
		classes, err := i.CountLetters(ctx, scan.Selection{})
		require.NoError(h.T, err)
		return len(classes) == 1
	})
	_, err = i.Backlog(ctx)
	require.NoError(h.T, err)
	owner, err := i.Owner(ctx, "kept")
	require.NoError(h.T, err)
	_, err = i.Consumers(ctx)
	require.NoError(h.T, err)
	for _, err := range i.Holdings(ctx, owner.Consumer) {
		require.NoError(h.T, err)
	}
	_, err = i.Balance(ctx)
	require.NoError(h.T, err)
	moved, err := i.SendBack(ctx, scan.Selection{})
	require.NoError(h.T, err)
	require.Equal(h.T, 1, moved)
	h.until("the dead letter is owned again", func() bool { return x.stream("permanent") == 2 })
	_, err = i.Drop(ctx, scan.Selection{})
	require.NoError(h.T, err)
}

// others are the commands of the test itself, and those that a client connects with, which need no right.
var others = []string{"hello", "auth", "client|setinfo", "acl|setuser", "monitor"}

// allListed checks that the table of rights lists everything that was used: more than that many commands on kinds of keys.
func (h *harness) allListed(seen *uses, more int) {
	h.T.Helper()
	listed := make(map[use]bool)
	for _, r := range preflight.AllRights() {
		listed[use{r.Command, r.Key}] = true
	}
	var scripts int
	for at, line := range seen.all {
		if at.key != preflight.NoKey {
			scripts++
		}
		if !listed[at] && !slices.Contains(others, at.command) {
			h.T.Errorf("used and not listed: %s on keys of kind %d: %s", at.command, at.key, line)
		}
	}
	require.Greater(h.T, scripts, more, "commands on keys that the server saw")
}
