package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// What the limits allow gets from a publisher to a handler, to the byte.
func TestLargestAllowedAnnouncementIsOwned(t *testing.T) {
	info := json.RawMessage(`"` + strings.Repeat("x", lease.DefaultMaxInfo-2) + `"`)
	name := strings.Repeat("\x01", cluster.MaxStreamName)
	l := startLive(t, servers.New(t), func(ctx context.Context, n api.Notification) error {
		if n.Kind == api.Added && string(n.Lease.Info()) == string(info) && n.Stream == name {
			return n.Lease.Done(ctx)
		}
		return nil
	})
	p, err := NewPublisher(l.client, liveService)
	require.NoError(t, err)
	_, err = p.Publish(t.Context(), name, info)
	require.NoError(t, err)
	l.until("it is done", func() bool { return l.num("XLEN", "orders-input") == 0 })
	require.Equal(t, 1, l.notified(api.Added, name))
	require.Zero(t, l.num("XLEN", "{orders-input}-dlq"))
}

// Trace: 60 entries with 200,000 fields each stopped everything, and with short sessions disowned 1,000 innocent streams. Here
// they are fewer and narrower, for busy machines.
func TestWideEntriesDisownNobody(t *testing.T) {
	const innocents, wide, fields = 1000, 4, 100_000
	l := startLive(t, servers.New(t), nil, WithSessionTTL(8*time.Second))
	p, err := NewPublisher(l.client, liveService)
	require.NoError(t, err)
	items := make([]api.Announcement, innocents)
	for i := range items {
		items[i].Stream = fmt.Sprint("s", i)
	}
	_, err = p.PublishMany(t.Context(), items...)
	require.NoError(t, err)
	l.until("all are owned", func() bool { return l.Stats().Held == innocents })
	entry := []string{"XADD", "orders-input", "*", "lbs-input", `{"DataStreamName":"wide"}`}
	for i := range fields {
		entry = append(entry, strconv.Itoa(i), "")
	}
	for range wide {
		l.do(entry...)
	}
	_, err = p.Publish(t.Context(), "last", nil)
	require.NoError(t, err)
	l.until("they are dead letters", func() bool { return l.num("XLEN", "{orders-input}-dlq") == wide })
	l.until("what came after them is owned", func() bool { return l.notified(api.Added, "last") == 1 })
	require.Equal(t, innocents+1, l.Stats().Held)
	require.Empty(t, l.notifiedStreams(api.Disowned))
	l.until("it is logged", func() bool { return strings.Contains(l.log.String(), "too large") })
}

// Trace: announcements of 1 MiB in the wrong partition were all copied again when one pipeline of them did not arrive in time,
// and each lost answer made a duplicate.
func TestHeavyMisroutedEntriesAreForwardedOnce(t *testing.T) {
	const n = 10
	server := servers.New(t)
	link := proxy.New(t, server.Addr())
	for _, s := range lease.Scripts() {
		link.RegisterScript(s.Name(), s.Body())
	}
	for nth := 1; nth <= 3; nth += 2 {
		link.Inject(proxy.Fault{Command: "copy", Nth: nth, Action: proxy.CutAfter})
	}
	opt := link.ClientOption()
	l := startLiveWith(t, server, opt, nil, WithPartitions(2))
	text := `,"Info":"` + strings.Repeat("x", 1<<20-100) + `"}`
	for i, added := 0, 0; added < n; i++ {
		name := fmt.Sprint("misrouted", i)
		if l.layout.Of(name) == 0 {
			continue
		}
		added++
		more := []string{}
		if added%2 == 0 {
			more = []string{"mine", strings.Repeat("m", 100_000)} // which the read leaves out
		}
		l.do(append([]string{"XADD", "orders-input", "*", "lbs-input", fmt.Sprintf(`{"DataStreamName":%q%s`, name, text)}, more...)...)
	}
	l.until("all are owned", func() bool { return l.Stats().Held == n })
	l.until("none is left where they were", func() bool { return l.num("XLEN", "orders-input") == 0 })
	require.Equal(t, 2, link.Struck("copy"))
	require.Equal(t, n, l.num("XLEN", "orders-input-1"), "each was copied once")
	require.Zero(t, l.num("ZCARD", "{orders-input}:later"))
	m, err := l.client.Do(t.Context(), l.client.B().Xrange().Key("orders-input-1").Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	whole := 0
	for _, e := range m {
		if len(e.FieldValues["mine"]) == 100_000 {
			whole++
		}
	}
	require.Equal(t, n/2, whole, "with all of their fields")
}
