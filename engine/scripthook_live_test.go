package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// A hook that panics, before or after the script, costs a line in the log.
func TestScriptHookThatPanicsHoldsUpNothing(t *testing.T) {
	server := servers.New(t)
	var begun, ended atomic.Int64
	l := startLive(t, server, func(ctx context.Context, n api.Notification) error {
		if n.Kind == api.Added {
			return n.Lease.Done(context.WithoutCancel(ctx))
		}
		return nil
	}, WithScriptHook(func(_ context.Context, script string) func(error) {
		if begun.Add(1); script == "acquire" {
			panic("before")
		}
		return func(error) { ended.Add(1); panic("after") }
	}))
	l.announce("s")
	l.until("it is done", func() bool {
		return l.num("EXISTS", l.layout.Keys(0).Lease("s")) == 0 && l.notified(api.Added, "s") == 1
	})
	l.until("the log", func() bool { return strings.Contains(l.log.String(), "a script hook panicked") })
	require.Positive(t, ended.Load())
	require.Greater(t, begun.Load(), ended.Load())
}
