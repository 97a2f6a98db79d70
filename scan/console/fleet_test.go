package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// says puts on record what a process says of itself, and that it holds so many streams.
func (h *harness) says(consumer, row string, held int) {
	h.t.Helper()
	for p := range h.layout.Partitions() {
		_, err := h.leases.Open(h.t.Context(), p, consumer, 0)
		require.NoError(h.t, err)
		h.Do("HSET", h.layout.Keys(p).Fleet, consumer, row)
		h.Do("ZADD", h.layout.Keys(p).Load, fmt.Sprint(held), consumer)
	}
}

func TestTheFleetIsShown(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.own("orders")
	over := time.UnixMilli(h.Now()).Add(-10 * time.Minute).UnixMilli()
	h.says(worker, fmt.Sprintf("1000 0 %d shares", over), 30)
	h.says("worker-1.BBBB", "2000 7 0 paused", 0)
	h.says("worker-2.CCCC", "1000 0 0 shares", 10)
	h.Do("HSET", h.layout.Keys(0).Books, "sums", "2000 7 1 0")
	h.Do("ZADD", h.layout.Keys(0).Sessions, "1", "worker-2.CCCC") // it has died
	c := h.console(WithActions(everybody))

	fleet := get(t, c, "/fleet").text
	for _, want := range []string{"3 processes", "dead, not recovered", "paused", `href="process?name=worker-1.BBBB"`, "10 min ago", `<option value="worker-1">`} {
		require.Contains(t, fleet, want)
	}
	overview := get(t, c, "/").text
	for _, want := range []string{"1 process died and is not recovered yet", "1 process is paused", "Shares are uneven: 1 process holds more than its share"} {
		require.Contains(t, overview, want)
	}
	one := get(t, c, "/process?name="+worker).text
	for _, want := range []string{"10 min ago", "30 streams", "alive, ends", `href="stream?name=orders"`} {
		require.Contains(t, one, want)
	}
	require.Contains(t, post(t, c, "do", "ask", "kind", "drain", "consumer", "worker-0", "for", "1h").text, "1 process, with 30 streams")
	require.Contains(t, get(t, c, "/partitions").text, "1 dead")
	require.Contains(t, get(t, c, "/moves").text, "1 stream</strong> changed hands in the last 30 min")
	require.Contains(t, get(t, c, "/moves?minutes=120").text, "in the last 2 h")
}

// The table of a large fleet has pages, and the browser is not sent all of it every 2 s.
func TestALargeFleetHasPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	for n := range mostRows + 5 {
		h.Do("HSET", h.layout.Keys(0).Fleet, fmt.Sprintf("pod-%03d.AAAA", n), "1000 0 0 shares")
	}
	c := h.console()
	first := get(t, c, "/fleet").text
	require.Contains(t, first, "0 to 200 of 205")
	require.Contains(t, first, `href="fleet?from=200"`)
	require.Contains(t, first, `data-live="live?view=fleet"`)
	second := get(t, c, "/fleet?from=200").text
	require.Contains(t, second, `data-live="live?from=200&amp;view=fleet"`)
	_, table, _ := strings.Cut(second, "<tbody>")
	require.Contains(t, table, "pod-204.AAAA")
	require.NotContains(t, table, "pod-199.AAAA")
}

// A stream's page says who owns it and why it is where it is.
func TestTheStoryOfAStream(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	e := h.own("orders")
	h.Do("HSET", h.layout.Keys(h.layout.Of("orders")).Checkpoints, "sorders", "7 v 1700000000000-5")
	h.dead("lost", "permanent: no such order")
	h.delayed("tomorrow")
	h.announce("next")
	c := h.console(WithActions(everybody), WithPositions(func(checkpoint string) (string, bool) {
		return strings.CutSuffix("message "+checkpoint, "-5")
	}))
	for stream, want := range map[string][]string{
		"orders":   {"owned", `href="process?name=worker-0.AAAA"`, e.ID, "message 1700000000000", "unless it is renewed"},
		"lost":     {"dead", "permanent: no such order", `href="letter?id=`},
		"tomorrow": {"delayed", "Hand out now"},
		"next":     {"waiting", "not delivered"},
		"none":     {"unknown", "nobody"},
	} {
		a := get(t, c, "/stream?name="+stream)
		require.Equal(t, http.StatusOK, a.status, a.text)
		for _, text := range want {
			require.Contains(t, a.text, text, stream)
		}
	}
	a := do(t, c, httptest.NewRequest(http.MethodGet, "/stream?name=%ff", nil))
	require.Contains(t, a.text, `\xff`)
}

// A change of server shows until it has settled.
func TestSettlingIsShown(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	keys := h.layout.Keys(0)
	for _, member := range []string{"!run:" + strings.Repeat("0", 40)} {
		h.Do("ZADD", keys.Sessions, fmt.Sprint(-h.Now()), member)
	}
	c := h.console()
	require.Contains(t, get(t, c, "/maintenance").text, "Partition 0 settles; that ends")
	require.Contains(t, get(t, c, "/").text, "1 partition settles after a change of server")
	require.Contains(t, get(t, c, "/partitions").text, "settles, ends")
}
