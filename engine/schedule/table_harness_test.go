package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

const tableService = "monitors"

// tableWorld is a table on a real server.
type tableWorld struct {
	*Table
	t      *testing.T
	ctx    context.Context
	server *servers.Server
	client rueidis.Client // of the tests
	keys   *cluster.Keys
}

func newTableWorld(t *testing.T, opts ...servers.Option) *tableWorld {
	t.Helper()
	server := servers.New(t, opts...)
	client := server.Client(t)
	table := newTestTable(t, client)
	return &tableWorld{table, t, t.Context(), server, client, table.layout.Keys(0)}
}

func newTestTable(t *testing.T, client rueidis.Client, opts ...engine.PublisherOption) *Table {
	t.Helper()
	table, err := NewTable(client, tableService, append(opts, engine.WithLogger(slog.New(slog.DiscardHandler)))...)
	require.NoError(t, err)
	return table
}

// behindProxy has the table use a link that may be struck.
func (w *tableWorld) behindProxy() *proxy.Proxy {
	w.t.Helper()
	p := proxy.New(w.t, w.server.Addr())
	for _, s := range scripts {
		p.RegisterScript(s.Name(), s.Body())
	}
	opt := p.ClientOption()
	opt.DisableRetry, opt.DisableCache, opt.PipelineMultiplex = true, true, -1 // one connection
	client, err := rueidis.NewClient(opt)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	w.Table = newTestTable(w.t, client)
	return p
}

// relink cuts a connection that is stuck, and waits until the table has another.
func (w *tableWorld) relink(p *proxy.Proxy) {
	w.t.Helper()
	p.Cut()
	p.Restore()
	c := w.publisher.Client()
	require.True(w.t, wait.For(time.Minute, time.Millisecond, func() bool { return c.Do(w.ctx, c.B().Ping().Build()).Error() == nil }))
}

// do runs a command that must not fail.
func (w *tableWorld) do(words ...string) rueidis.RedisResult {
	w.t.Helper()
	r := w.client.Do(w.ctx, w.client.B().Arbitrary(words...).Build())
	if err := r.Error(); err != nil {
		require.True(w.t, rueidis.IsRedisNil(err), "%v: %v", words, err)
	}
	return r
}

func (w *tableWorld) num(words ...string) int64 {
	w.t.Helper()
	n, err := w.do(words...).AsInt64()
	require.NoError(w.t, err)
	return n
}

// row returns the row of a schedule, which there must be.
func (w *tableWorld) row(name string) record.Row {
	w.t.Helper()
	text, err := w.do("HGET", w.keys.Schedules, name).ToString()
	require.NoError(w.t, err, name)
	r, err := record.ParseRow(text)
	require.NoError(w.t, err, text)
	return r
}

// setRow changes a row behind the table's back.
func (w *tableWorld) setRow(name string, change func(*record.Row)) {
	w.t.Helper()
	r := w.row(name)
	change(&r)
	w.do("HSET", w.keys.Schedules, name, r.Encode())
}

// announced returns what was announced since the last time, in order.
func (w *tableWorld) announced() (texts []string) {
	w.t.Helper()
	entries, err := w.do("XRANGE", w.keys.Input, "-", "+").AsXRange()
	require.NoError(w.t, err)
	for _, e := range entries {
		texts = append(texts, e.FieldValues["lbs-input"])
		w.do("XDEL", w.keys.Input, e.ID)
	}
	return texts
}

// told returns whose owners were sent signals since the last time, in order, with "|" between signals.
func (w *tableWorld) told() string {
	w.t.Helper()
	entries, err := w.do("XRANGE", w.keys.Signals, "-", "+").AsXRangeSlices()
	require.NoError(w.t, err)
	var all []string
	for _, e := range entries {
		var names []string
		for _, f := range e.FieldValues {
			if f.Field == "stream" {
				names = append(names, f.Value)
			} else {
				require.Equal(w.t, rueidis.XRangeFieldValue{Field: "kind", Value: "user"}, f)
			}
		}
		all = append(all, strings.Join(names, " "))
		w.do("XDEL", w.keys.Signals, e.ID)
	}
	return strings.Join(all, "|")
}

// puts puts specs, and returns what became of them: "created created".
func (w *tableWorld) puts(specs ...Spec) string {
	w.t.Helper()
	results, err := w.Put(w.ctx, specs...)
	require.NoError(w.t, err)
	return outcomes(results)
}

func outcomes(results []Result) string {
	var all []string
	for _, r := range results {
		all = append(all, r.Outcome.String())
	}
	return strings.Join(all, " ")
}

// names returns the names of all schedules, sorted.
func (w *tableWorld) names() []string {
	w.t.Helper()
	all, err := w.do("HKEYS", w.keys.Schedules).AsStrSlice()
	require.NoError(w.t, err)
	sort.Strings(all)
	return all
}

// many returns specs of every 30 s.
func many(from, to int) (specs []Spec) {
	for n := from; n < to; n++ {
		specs = append(specs, Spec{Name: fmt.Sprintf("s%06d", n), Every: 30 * time.Second})
	}
	return specs
}

// contextOf is one that ends soon where an answer never comes, which is what calls end with then.
func contextOf(t *testing.T, action proxy.Action) (context.Context, context.CancelFunc) {
	if action == proxy.DropRequest || action == proxy.DropReply {
		return context.WithTimeout(t.Context(), 200*time.Millisecond)
	}
	return context.WithCancel(t.Context())
}
