package rights

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// shared is a service with a consumer in the fleet of each partition, and sums that have drifted.
func (h *harness) shared(ctx context.Context) (consumer string) {
	h.T.Helper()
	h.Do("FLUSHALL")
	settings := lease.Settings{LeaseTTL: time.Minute, SessionTTL: time.Minute, Gap: time.Hour, Settle: true, Timeout: patience}
	leases := lease.NewStore(h.layout, settings, h.Client, h.Client, nil)
	require.NoError(h.T, leases.Agree(ctx))
	for p := range partitions {
		_, err := leases.Open(ctx, p, "pod.1", 0)
		require.NoError(h.T, err)
		h.Do("HSET", h.layout.Keys(p).Fleet, "pod.1", "1000 0 0 shares", "gone.1", "1000 0 0 shares")
		h.Do("ZADD", h.layout.Keys(p).Load, "1", "pod.1", "1", "gone.1")
	}
	return "pod.1"
}

// store returns a store of a user with these rights.
func (h *harness) store(rules ...string) *scan.Store {
	h.T.Helper()
	return scan.NewStore(h.layout, scan.Settings{Config: scan.Config{}.WithDefaults(), SessionTTL: time.Minute, Gap: time.Hour, Settle: true,
		Timeout: patience}, h.connect(h.user("chat", rules...)), nil)
}

// The documented rights are enough to keep the books of a fleet, to look at it, and to wish something; and all that is used is in the
// table.
func TestDocumentedRightsAreEnoughToBalance(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		consumer := h.shared(ctx)
		store := h.store(preflight.Rules(service, partitions, needs...)...)
		inspector := func(rules ...string) *scan.Inspector {
			i, err := scan.NewInspector(h.connect(h.user("chat-viewer", rules...)), service, scan.InspectorConfig{})
			require.NoError(t, err)
			return i
		}
		looks := preflight.LookRules(service, partitions)
		seen, stop := h.watch()
		for p := range partitions {
			require.NoError(t, store.Tally(ctx, p, consumer))
			require.Regexp(t, "^1000 ", h.Text("HGET", h.layout.Keys(p).Books, "sums"))
		}
		i := inspector(append(looks, preflight.AskRules()...)...)
		for _, w := range []scan.Wish{{Kind: scan.WishFreeze, For: time.Hour}, {Kind: scan.WishPause, Consumer: "pod", For: time.Hour}} {
			require.NoError(t, i.Ask(ctx, w))
		}
		require.NoError(t, i.Withdraw(ctx, scan.WishFreeze, ""))
		require.Equal(t, 3, h.Num("XLEN", h.layout.Keys(0).Signals))
		i = inspector(looks...)
		b, err := i.Balance(ctx)
		require.NoError(t, err)
		require.Len(t, b.Processes, 1)
		require.Len(t, b.Processes[0].Wishes, 1)
		wishes, err := store.Wishes(ctx)
		require.NoError(t, err)
		require.Equal(t, scan.WishPause, wishes[0].Kind)
		stop()
		delete(seen.all, use{"xlen", preflight.SignalsKey})
		h.allListed(seen, 20)

		require.Error(t, i.Ask(ctx, scan.Wish{Kind: scan.WishFreeze, For: time.Hour}), "who only looks asks nothing")
	})
}

// withoutBalance are the rights of an engine without one that the balance takes: a command, or its keys.
func withoutBalance() map[string][]string {
	rules := preflight.Rules(service, partitions, needs...)
	all := make(map[string][]string)
	for _, command := range []string{"hget", "hlen", "hgetall", "hset", "hdel"} {
		all[command] = slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return rule == "+"+command })
	}
	keys := slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return strings.HasPrefix(rule, "~") })
	for _, input := range []string{"chat-input", "chat-input-1"} {
		keys = append(keys, "~"+input, "~{"+input+"}-dlq")
		for _, key := range []string{"sessions", "later", "token", "scan", "lease:*", "recover:*", "copied:*", "checkpoints", "signals", "meta"} {
			keys = append(keys, "~{"+input+"}:"+key)
		}
	}
	all["keys"] = keys
	return all
}

// Without a right to the balance an engine owns streams as ever, a preflight warns and says what to grant, and calls about the balance say
// so.
func TestWithoutTheRightsToBalance(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		for name, rules := range withoutBalance() {
			consumer := h.shared(ctx)
			h.Do("HSET", h.layout.Wishes(), "freeze:", "freeze 4000000000000 0 ")
			store := h.store(rules...)
			err := store.Tally(ctx, 0, consumer)
			require.True(t, lease.LacksRight(err), "%s: %v", name, err)
			_, err = store.Wishes(ctx)
			require.Equal(t, slices.Contains([]string{"hlen", "hgetall", "keys"}, name), lease.LacksRight(err), "%s: %v", name, err)

			opt := h.user("chat", append(rules, toAsk...)...)
			report := h.preflight(h.connect(opt))
			require.NoError(t, report.Err(), name)
			warned := slices.ContainsFunc(report.Of(preflight.Rights), func(f preflight.Finding) bool {
				return f.Severity == preflight.Warning && (name == "keys" && strings.Contains(f.Seen, "{chat-input-1}:fleet") ||
					name != "keys" && strings.Contains(f.Seen, strings.ToUpper(name)+", without which streams are not spread evenly"))
			})
			require.True(t, warned, "%s: %s", name, report)
			h.Do("FLUSHALL")
			live(ctx, t, opt, func(stream string) {
				h.Do("XADD", h.layout.Keys(0).Input, "*", "lbs-input", `{"DataStreamName":"`+stream+`"}`)
			}, engine.WithPartitions(partitions))
		}
	})
}
