package console

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

func everybody(*http.Request, Action) (string, error) { return "ann@example.com", nil }

func TestNothingIsChangedWithoutTheOption(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.dead("lost", "permanent: x")
	c := h.console()
	require.NotContains(t, get(t, c, "/letters").text, `action="act"`)
	require.Equal(t, http.StatusForbidden, post(t, c, "do", "send-back", "sure", "yes").status)
	require.Equal(t, 1, h.Num("XLEN", h.layout.Keys(0).DeadLetters))
}

func TestOtherSitesAndTheHookRefuse(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.dead("lost", "permanent: x")
	asked := 0
	c := h.console(WithActions(func(_ *http.Request, a Action) (string, error) {
		asked++
		require.Equal(t, ActionDrop, a.Kind)
		require.Equal(t, scan.Selection{Partitions: []int{0}, Reason: "permanent"}, a.Selection)
		return "", errors.New("ann may not <b>drop</b>")
	}))
	r := httptest.NewRequest(http.MethodPost, "/act", strings.NewReader("do=drop&sure=yes"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, do(t, c, r).status)
	require.Zero(t, asked, "a request from another site is refused first")

	a := post(t, c, "do", "drop", "partition", "0", "reason", "permanent")
	require.Equal(t, http.StatusForbidden, a.status)
	require.Contains(t, a.text, "ann may not &lt;b&gt;drop")
	require.Equal(t, 1, asked)
	require.Equal(t, 1, h.Num("XLEN", h.layout.Keys(0).DeadLetters))

	for _, form := range [][]string{{"do", "explode"}, {"do", "drop", "id", "1-1"}, {"do", "ask", "kind", "pause", "for", "soon"}, {"do", "ask", "kind", "weight", "for", "1h"}} {
		require.Equal(t, http.StatusBadRequest, post(t, c, form...).status, form)
	}
	large := httptest.NewRequest(http.MethodPost, "/act", strings.NewReader("do="+strings.Repeat("a", mostForm)))
	large.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusBadRequest, do(t, c, large).status)
	require.Equal(t, 1, asked)
}

// What concerns many, or cannot be undone, is done only once it is confirmed, and the log has who did it.
func TestActionsAreConfirmedAndLogged(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	keys := h.layout.Keys(0)
	for _, name := range []string{"a", "b", "c\xff\n"[:1] + "\n", "d"} {
		h.dead(name, "permanent: x")
	}
	h.dead("e", "retries: y")
	h.delayed("f")
	h.delayed("g")
	var log bytes.Buffer
	c := h.console(WithActions(everybody), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))

	a := post(t, c, "do", "drop", "reason", "permanent")
	require.Equal(t, http.StatusOK, a.status)
	require.Contains(t, a.text, "4 dead letters")
	require.Contains(t, a.text, "This cannot be undone")
	require.Contains(t, a.text, `name="escaped-reason" value="permanent"`)
	require.Equal(t, 5, h.Num("XLEN", keys.DeadLetters))
	require.Empty(t, log.String())

	letter := h.Stream(keys.DeadLetters)[0].ID
	a = post(t, c, "do", "send-back", "partition", "0", "id", letter)
	require.Contains(t, a.text, "1 dead letter was sent back.")
	require.Equal(t, 4, h.Num("XLEN", keys.DeadLetters))
	require.Contains(t, log.String(), "who=ann@example.com action=send-back")
	log.Reset()

	a = post(t, c, "do", "drop", "escaped-stream", "c%0A", "sure", "yes")
	require.Contains(t, a.text, "1 dead letter was dropped.", "a line end arrives as it is")
	a = post(t, c, "do", "drop", "reason", "permanent", "sure", "yes")
	require.Contains(t, a.text, "2 dead letters were dropped.")
	require.Equal(t, 1, h.Num("XLEN", keys.DeadLetters))

	require.Contains(t, post(t, c, "do", "cancel", "stream", "f").text, "1 delayed announcement")
	require.Contains(t, post(t, c, "do", "cancel", "stream", "f", "sure", "yes").text, "1 delayed announcement was cancelled.")
	require.Contains(t, post(t, c, "do", "bring-forward", "sure", "yes").text, "1 delayed announcement was handed out now.")
	require.Contains(t, post(t, c, "do", "reannounce").text, "0 stranded announcements")
	require.Contains(t, post(t, c, "do", "reannounce", "sure", "yes").text, "Nothing was requeued")
	require.Equal(t, 5, strings.Count(log.String(), "operator acted on the service"))
}

// Wishes say who asked for them.
func TestWishesAreAskedForAndWithdrawn(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console(WithActions(everybody))
	wishes := func() []scan.Wish {
		i, err := scan.NewInspector(h.Client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		found, err := i.Wishes(t.Context())
		require.NoError(t, err)
		return found
	}
	require.Contains(t, post(t, c, "do", "ask", "kind", "pause", "consumer", "worker-0", "for", "30m", "reason", "incident\n12 "+strings.Repeat("ü", 200)).text, "On record: pause worker-0 for 30 min")
	require.Contains(t, wishes()[0].Reason, "ann@example.com: incident 12 üüü")
	require.Contains(t, post(t, c, "do", "ask", "kind", "drain", "consumer", "worker-0", "for", "30m").text, "no process that runs now")
	require.Equal(t, scan.WishPause, wishes()[0].Kind, "a drain is asked about first")
	require.Contains(t, post(t, c, "do", "ask", "kind", "freeze", "consumer", "worker-0", "for", "1h").text, "On record: freeze")
	require.Contains(t, post(t, c, "do", "ask", "kind", "weight", "consumer", "worker-1", "for", "1h", "weight", "0.5").text, "weight 0.50 of worker-1")
	require.Len(t, wishes(), 3)
	require.Equal(t, http.StatusBadRequest, post(t, c, "do", "ask", "kind", "weight", "consumer", "worker-1", "for", "1h", "weight", "-4").status)
	for _, w := range wishes() {
		require.Contains(t, post(t, c, "do", "withdraw", "kind", string(w.Kind), "consumer", w.Consumer).text, "Withdrawn")
	}
	require.Empty(t, wishes())
}
