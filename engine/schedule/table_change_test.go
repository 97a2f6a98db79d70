package schedule

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

func TestTablePausesResumesAndTriggers(t *testing.T) {
	for _, p := range servers.Available(t, servers.Programs()...) {
		t.Run(p.String(), func(t *testing.T) {
			w := newTableWorld(t, servers.On(p))
			w.puts(Spec{Name: "a", Every: time.Minute}, Spec{Name: "b", Every: time.Minute, Info: 1})
			w.setRow("a", func(r *record.Row) { r.Since, r.Born = 7, 6 })
			before := w.row("a")
			require.NoError(t, w.Pause(w.ctx, "why\nnot", "a", "b"))
			require.Equal(t, "a b", w.told())
			paused := w.row("a")
			require.Greater(t, paused.Rev, before.Rev)
			require.Equal(t, record.Row{Rev: paused.Rev, Born: 6, Since: 7, Paused: true, Note: "why\nnot", Definition: before.Definition}, paused)
			require.NoError(t, w.Pause(w.ctx, "why\nnot", "a"))
			require.Equal(t, paused, w.row("a"))
			require.NoError(t, w.Pause(w.ctx, "", "a"))
			require.Empty(t, w.row("a").Note)
			require.Equal(t, "a", w.told(), "once")

			require.NoError(t, w.Trigger(w.ctx, "a"))
			first := w.row("a").Trigger
			require.NoError(t, w.Trigger(w.ctx, "a"))
			require.Greater(t, w.row("a").Trigger, first)
			w.setRow("a", func(r *record.Row) { r.Trigger = 1 << 52 })
			require.NoError(t, w.Trigger(w.ctx, "a"))
			require.EqualValues(t, 1<<52+1, w.row("a").Trigger, "it rises, whatever the clock says")
			require.True(t, w.row("a").Paused)
			require.Equal(t, "a|a|a", w.told())

			require.NoError(t, w.Resume(w.ctx, "a", "b"))
			resumed := w.row("a")
			require.False(t, resumed.Paused)
			require.Greater(t, resumed.Since, int64(7), "what was due meanwhile is not missed")
			require.EqualValues(t, 6, resumed.Born)
			require.NoError(t, w.Resume(w.ctx, "a"))
			require.Equal(t, resumed, w.row("a"))
			require.Equal(t, "a b", w.told())
			require.Equal(t, "unchanged", w.puts(Spec{Name: "b", Every: time.Minute, Info: 1}))
		})
	}
}

func TestChangesOfWhatIsNotThere(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute})
	err := w.Pause(w.ctx, "", "x", "a", "y")
	require.ErrorIs(t, err, ErrNoSchedule)
	require.ErrorContains(t, err, `"x"`)
	require.ErrorContains(t, err, `"y"`)
	require.True(t, w.row("a").Paused)
	require.Equal(t, []string{"a"}, w.names())
	require.ErrorIs(t, w.Resume(w.ctx, ""), api.ErrInvalidStream)
	require.ErrorIs(t, w.Pause(w.ctx, strings.Repeat("x", MaxNote+1), "a"), api.ErrInvalidConfig)
	require.NoError(t, w.Pause(w.ctx, strings.Repeat("x", MaxNote), "a"))
	require.NoError(t, w.Trigger(w.ctx))
	_, err = w.Get(w.ctx, "x")
	require.ErrorIs(t, err, ErrNoSchedule)
	n, err := w.Delete(w.ctx, []string{"x", "a", "a"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = w.Delete(w.ctx, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = w.Delete(w.ctx, nil, nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = w.Delete(w.ctx, []string{""})
	require.ErrorIs(t, err, api.ErrInvalidStream)
}

// Nothing is changed or deleted without its owner hearing of it: it would not hear of it later.
func TestChangesWhoseOwnersCannotBeTold(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute})
	before := w.row("a")
	w.do("SET", w.keys.Signals, "x")
	require.ErrorContains(t, w.Pause(w.ctx, "", "a"), "WRONGTYPE")
	require.ErrorContains(t, w.Trigger(w.ctx, "a"), w.keys.Signals)
	_, err := w.Delete(w.ctx, []string{"a"})
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Equal(t, before, w.row("a"))
	w.do("DEL", w.keys.Signals)
	w.do("DEL", w.keys.Schedules)
	w.do("SET", w.keys.Schedules, "x")
	require.ErrorContains(t, w.Pause(w.ctx, "", "a"), "WRONGTYPE")
	_, err = w.Delete(w.ctx, []string{"a"})
	require.ErrorContains(t, err, "WRONGTYPE")
	_, err = w.Get(w.ctx, "a")
	require.ErrorContains(t, err, "WRONGTYPE")
	_, _, err = w.Page(w.ctx, "", 0)
	require.ErrorContains(t, err, "WRONGTYPE")
}

// A call that is not answered is repeated without harm; one of Trigger leads to one tick or two.
func TestChangesThatAreNotAnswered(t *testing.T) {
	for _, action := range []proxy.Action{proxy.DropRequest, proxy.DropReply, proxy.CutBefore, proxy.CutAfter} {
		t.Run(action.String(), func(t *testing.T) {
			t.Parallel()
			w := newTableWorld(t)
			p := w.behindProxy()
			all := map[string]func(ctx context.Context) error{
				"pause":   func(ctx context.Context) error { return w.Pause(ctx, "note", "a") },
				"trigger": func(ctx context.Context) error { return w.Trigger(ctx, "a") },
				"resume":  func(ctx context.Context) error { return w.Resume(ctx, "a") },
				"remove":  func(ctx context.Context) error { _, err := w.Delete(ctx, []string{"a"}); return err },
			}
			for _, what := range []string{"pause", "trigger", "resume", "remove"} {
				w.puts(Spec{Name: "a", Every: time.Minute})
				require.NoError(t, all[what](w.ctx)) // so that the server knows the script
				w.do("DEL", w.keys.Schedules)
				w.puts(Spec{Name: "a", Every: time.Minute})
				if what == "resume" {
					require.NoError(t, w.Pause(w.ctx, "", "a"))
				}
				command := "change"
				if what == "remove" {
					command = what
				}
				remove := p.Inject(proxy.Fault{Command: command, Action: action})
				ctx, cancel := contextOf(t, action)
				err := all[what](ctx)
				cancel()
				remove()
				require.ErrorContains(t, err, "it may have been done all the same", what)
				w.relink(p)
				require.NoError(t, all[what](w.ctx), what)
				switch what {
				case "pause":
					require.True(t, w.row("a").Paused)
				case "trigger":
					require.NotZero(t, w.row("a").Trigger)
				case "resume":
					require.False(t, w.row("a").Paused)
				case "remove":
					require.Empty(t, w.names())
				}
			}
		})
	}
}

// Delete with Wait returns when the ownerships are over that there were, and looks at no others.
func TestDeleteWaitsForOwners(t *testing.T) {
	w := newTableWorld(t)
	w.puts(many(0, 300)...)
	names := w.names()
	n, err := w.Delete(w.ctx, names[:299], Wait())
	require.NoError(t, err)
	require.Equal(t, 299, n, "nobody owned them")

	last := names[299]
	w.do("SET", w.keys.Lease(last), "alice.1 7 1-1", "PX", "300")
	w.do("SET", w.keys.Lease(names[0]), "no lease")
	n, err = w.Delete(w.ctx, names, Wait())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, w.num("EXISTS", w.keys.Lease(last)))

	w.do("SET", w.keys.Lease(last), "alice.1 7 1-1")
	ctx, cancel := context.WithTimeout(w.ctx, 150*time.Millisecond)
	defer cancel()
	n, err = w.Delete(ctx, []string{last}, Wait())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, n)

	p := w.behindProxy()
	done := make(chan error, 1)
	go func() { _, err := w.Delete(w.ctx, []string{last}, Wait()); done <- err }()
	require.NoError(t, p.WaitSeen(w.ctx, "owners", 2))
	w.do("SET", w.keys.Lease(last), "bob.1 8 2-1")
	require.NoError(t, <-done, "another owner, of what was put meanwhile")
}

// Marks of dead letters are for the incarnation that was looked at, and tell nobody.
func TestMarks(t *testing.T) {
	w := newTableWorld(t)
	w.puts(Spec{Name: "a", Every: time.Minute}, Spec{Name: "b", Every: time.Minute})
	a, b := w.row("a"), w.row("b")
	require.NoError(t, w.store.mark(w.ctx, 0, true, []string{"a", "b", "c"}, []int64{a.Born, b.Born + 1, 5}))
	require.True(t, w.row("a").Dead)
	require.Greater(t, w.row("a").Rev, a.Rev)
	require.False(t, w.row("b").Dead)
	require.NoError(t, w.store.mark(w.ctx, 0, false, []string{"a"}, []int64{a.Born}))
	require.False(t, w.row("a").Dead)
	require.Empty(t, w.told())
	require.Equal(t, []string{"a", "b"}, w.names())
}
