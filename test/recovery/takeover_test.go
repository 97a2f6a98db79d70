package recovery

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
)

const many = 10_000

// page is the number of entries that a recover script requeues at a time.
var page = lease.Pipeline{}.WithDefaults().MaxMoves()

// TestKilledProcessOfTenThousand: kill -9 of a process that owns 10,000 streams, while two others are alive. The two own all of
// them again, each stream by one.
func TestKilledProcessOfTenThousand(t *testing.T) {
	x := takeover(t, many, 2*time.Second)
	t.Log(x)
	require.Equal(t, many, x.taken)
	// A page is requeued once. A call whose reply is late is made again: both survivors requeueing everything would be twice as many.
	require.LessOrEqual(t, x.recovers, int64(many/page*3/2), "recover scripts")
}

// taken is the result of a takeover.
type taken struct {
	streams, taken int
	session        time.Duration
	without        []time.Duration // time of each stream from the SIGKILL to its next owner; sorted
	share          float64         // of the survivor that took the most
	commands       int64           // all that the server ran meanwhile, including those in scripts
	scripts        int64           // EVALSHA and EVAL
	recovers       int64           // recover scripts
}

func (x *taken) String() string {
	at := func(share float64) time.Duration {
		if len(x.without) == 0 {
			return 0
		}
		return x.without[int(share*float64(len(x.without)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d streams, session %v: without an owner p50 %v, p99 %v, max %v; %d commands (%.1f per stream), %d of them "+
		"scripts, %d of those recover; largest share %.1f %%", x.streams, x.session, at(0.5), at(0.99), at(1), x.commands,
		float64(x.commands)/float64(x.streams), x.scripts, x.recovers, 100*x.share)
}

// takeover kills a process that owns this many streams while two others own none. A session TTL of zero means the default.
func takeover(t testing.TB, streams int, session time.Duration) *taken {
	h := newHarness(t)
	link := h.link()
	s := spec{Session: session, Look: 50 * time.Millisecond, Pages: 3 * streams}
	s.Name = "victim"
	victim := h.child(s)
	h.add(upTo(streams)...)
	h.ownedBy(streams, victim)
	s.Name, s.Addr = "a", link.Addr()
	a := h.child(s)
	s.Name = "b"
	b := h.child(s)
	h.until("the others have started", func() bool { return len(h.Consumers(h.keys.Input, h.layout.Group())) == 3 })

	before, seen, recovered := h.commands(), link.Seen("EVALSHA")+link.Seen("EVAL"), link.Seen("recover")
	died := victim.kill()
	h.ownedBy(streams, a, b)
	x := &taken{streams: streams, session: session, commands: h.commands() - before,
		scripts: int64(link.Seen("EVALSHA") + link.Seen("EVAL") - seen), recovers: int64(link.Seen("recover") - recovered)}
	if session == 0 {
		x.session = engine.DefaultSessionTTL
	}
	most := 0
	for _, c := range []*child{a, b} {
		entries := c.journal.Read()
		most = max(most, len(entries))
		for _, e := range entries {
			x.without = append(x.without, e.From-died)
		}
	}
	slices.Sort(x.without)
	x.taken, x.share = len(x.without), float64(most)/float64(streams)
	h.checkOwners()
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
	return x
}

// commands returns how many commands the server has run so far.
func (h *harness) commands() (n int64) {
	h.T.Helper()
	stats, err := h.server.CommandStats(context.Background())
	require.NoError(h.T, err)
	for _, s := range stats {
		n += s.Calls
	}
	return n
}

// BenchmarkTakeover measures the cost of a SIGKILL of a process with 10,000 streams. Run it with -benchtime 1x.
func BenchmarkTakeover(b *testing.B) {
	for name, session := range map[string]time.Duration{"session=default": 0, "session=2s": 2 * time.Second} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				x := takeover(b, many, session)
				b.Log(x)
				b.ReportMetric(x.without[len(x.without)/2].Seconds(), "p50-s")
				b.ReportMetric(x.without[len(x.without)*99/100].Seconds(), "p99-s")
				b.ReportMetric(x.without[len(x.without)-1].Seconds(), "max-s")
				b.ReportMetric(float64(x.commands), "commands")
				b.ReportMetric(float64(x.recovers), "recovers")
				b.ReportMetric(100*x.share, "%-largest-share")
			}
		})
	}
}

// TestTenEnginesRecoverOnce: ten engines learn of the death at about the same time. One recovers, and the others notice that
// one does.
func TestTenEnginesRecoverOnce(t *testing.T) {
	const engines = 10
	h := newHarness(t)
	victim := h.child(spec{Name: "victim", Look: 50 * time.Millisecond, Pages: many, Session: 4 * time.Second})
	h.add(upTo(many)...)
	h.ownedBy(many, victim)
	var others []interface{ held() int }
	for i := range engines {
		// A late reply leads to a retry, which would be one more script.
		others = append(others, h.member(fmt.Sprint("p-", i), nil, engine.WithPipeline(lease.Pipeline{Timeout: 3 * time.Second})))
	}
	victim.kill()
	h.ownedBy(many, others...)
	h.until("the dead one is removed", func() bool { return len(h.Consumers(h.keys.Input, h.layout.Group())) == engines })
	added, err := h.Try("XINFO", "STREAM", h.keys.Input).AsMap()
	require.NoError(t, err)
	if field, counted := added["entries-added"]; counted { // from Redis 7.0 on
		entries, err := field.AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 2*many, entries, "each entry is announced once and requeued once")
	}
	sum := map[string]float64{}
	for _, m := range h.fleet {
		for _, script := range []string{"peers", "claimdead", "recover", "sweep"} {
			sum[script] += m.metric("script_duration_seconds", "script", script)
		}
	}
	t.Log(sum)
	pages := float64(many/page + 1)
	require.LessOrEqual(t, sum["recover"], pages+5, "about one per page, not ten")
	// Each of the others looks again, at growing intervals, for as long as the recovery takes.
	require.LessOrEqual(t, sum["claimdead"], pages+5+20*engines, "scans of dead consumers: ten recoveries would be some 400")
	h.checkOwners()
}
