package schedule

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// until waits for a condition that a real server brings about.
func (w *tableWorld) until(what string, ok func() bool) {
	w.t.Helper()
	require.True(w.t, wait.For(time.Minute, 5*time.Millisecond, ok), what)
}

// run runs an engine until the test ends; and from when on something is so, its auditor, which waits for 50 ms where it usually waits for 10
// min. The auditor reads the table once.
func (w *tableWorld) run(h api.Handler, when func() bool) {
	w.t.Helper()
	e, err := engine.Open(w.server.ClientOption(), tableService, engine.WithLogger(slog.New(slog.DiscardHandler)), engine.WithDrainTimeout(time.Second))
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- e.Run(ctx, h) }()
	w.until("the engine is ready", func() bool { return e.Ready(w.ctx) == nil })
	w.until("the audit may begin", when)
	a := auditorOf(e, w.layout, sumlog.New(e.Logger()), func(metrics.ScheduleAudit) {})
	a.grace = 50 * time.Millisecond
	go func() { a.run(ctx); ended <- nil }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, errors.Join(<-ended, <-ended))
	})
}

// A failover forgot an announcement, or somebody has deleted it: the schedule is owned all the same. One that is a dead letter is marked, and
// an equal put brings it back.
func TestAuditOnServers(t *testing.T) {
	for _, p := range servers.Available(t, servers.Programs()...) {
		t.Run(p.String(), func(t *testing.T) {
			w := newTableWorld(t, servers.On(p))
			poison := Spec{Name: "poison", Every: time.Minute}
			w.puts(Spec{Name: "lost", Every: time.Minute}, Spec{Name: "{lost}, too", Every: time.Minute})
			require.Len(t, w.announced(), 2)
			w.puts(Spec{Name: "kept", Every: time.Minute}, poison)
			w.run(api.HandlerFunc(func(_ context.Context, n api.Notification) error {
				if n.Kind == api.Added && n.Stream == "poison" {
					return api.Permanent(errors.New("no"))
				}
				return nil
			}), func() bool {
				return w.num("XLEN", w.keys.DeadLetters) == 1 && w.num("EXISTS", w.keys.Lease("poison")) == 0
			})
			for _, name := range []string{"kept", "lost", "{lost}, too"} {
				w.until(name+" is owned", func() bool { return w.num("EXISTS", w.keys.Lease(name)) == 1 })
			}
			w.until("the dead letter is marked", func() bool { return w.row("poison").Dead })
			s, err := w.Get(w.ctx, "poison")
			require.NoError(t, err)
			require.True(t, s.DeadLetter)
			require.Equal(t, "edited", w.puts(poison))
			w.until("it is a dead letter again", func() bool { return w.num("XLEN", w.keys.DeadLetters) == 2 })
		})
	}
}

// Each reason not to announce a schedule again.
func TestRevive(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute})
	born := w.row("a").Born
	revive := func(name string, born int64) revived {
		verdict, err := w.store.revive(w.ctx, 0, name, born)
		require.NoError(t, err)
		return verdict
	}
	require.Equal(t, revivedWaits, revive("a", born), "there is no group")
	w.do("XGROUP", "CREATE", w.keys.Input, w.layout.Group(), "0")
	require.Equal(t, revivedWaits, revive("a", born), "its announcement was not read yet")
	w.announced()
	require.Equal(t, revivedGone, revive("a", born+1))
	require.Equal(t, revivedGone, revive("b", born))
	w.do("SET", w.keys.Lease("a"), "alice.1 7 1-1")
	require.Equal(t, revivedOwned, revive("a", born))
	w.do("DEL", w.keys.Lease("a"))
	require.Empty(t, w.announced())
	require.Equal(t, revivedAnnounced, revive("a", born))
	require.Equal(t, revivedWaits, revive("a", born))
	require.Equal(t, []string{`{"DataStreamName":"a"}`}, w.announced())
	w.do("DEL", w.keys.Input)
	w.do("SET", w.keys.Input, "x")
	_, err := w.store.revive(w.ctx, 0, "a", born)
	require.ErrorContains(t, err, "WRONGTYPE")
}

// Every script of this package is sent in a test that loses its answer, or breaks the connection before it ran or after it: put, change and
// remove in tests of their own, the others here. To call again is what callers do.
func TestEveryScriptIsStruck(t *testing.T) {
	elsewhere := map[string]bool{"put": true, "change": true, "remove": true}
	calls := map[string]func(w *tableWorld, ctx context.Context) error{
		"mark": func(w *tableWorld, ctx context.Context) error {
			return w.store.mark(ctx, 0, true, []string{"a"}, []int64{w.row("a").Born})
		},
		"revive": func(w *tableWorld, ctx context.Context) error {
			_, err := w.store.revive(ctx, 0, "a", w.row("a").Born)
			return err
		},
		"specs": func(w *tableWorld, ctx context.Context) error {
			_, err := w.store.Rows(ctx, 0, []string{"a"})
			return err
		},
		"rows": func(w *tableWorld, ctx context.Context) error { _, err := w.store.auditPage(ctx, 0, "0"); return err },
		"owners": func(w *tableWorld, ctx context.Context) error {
			_, err := w.store.owners(ctx, 0, []string{"a"})
			return err
		},
	}
	for _, s := range scripts {
		require.NotEqual(t, elsewhere[s.Name()], calls[s.Name()] != nil, s.Name())
	}
	for _, action := range []proxy.Action{proxy.DropRequest, proxy.DropReply, proxy.CutBefore, proxy.CutAfter} {
		t.Run(action.String(), func(t *testing.T) {
			t.Parallel()
			w := newTableWorld(t)
			p := w.behindProxy()
			w.puts(Spec{Name: "a", Every: time.Minute})
			w.do("XGROUP", "CREATE", w.keys.Input, w.layout.Group(), "$")
			w.announced()
			for name, call := range calls {
				require.NoError(t, call(w, w.ctx), name)
				w.announced()
				remove := p.Inject(proxy.Fault{Command: name, Action: action})
				ctx, cancel := contextOf(t, action)
				require.Error(t, call(w, ctx), name)
				cancel()
				remove()
				w.relink(p)
				require.NoError(t, call(w, w.ctx), name)
				if name == "revive" {
					require.Len(t, w.announced(), 1)
				}
			}
			require.True(t, w.row("a").Dead)
			require.Equal(t, []string{"a"}, w.names())
		})
	}
}
