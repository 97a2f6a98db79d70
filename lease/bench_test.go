package lease

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// benchHarness is a harness whose leases outlive a benchmark, with n streams owned by alice.
func benchHarness(b *testing.B, n int) (*harness, []*Lease) {
	w := newHarness(b, func(s *Settings) { s.LeaseTTL, s.SessionTTL, s.Gap = time.Hour, time.Hour, time.Hour })
	w.open(alice)
	leases := make([]*Lease, 0, n)
	for len(leases) < n {
		batch := min(n-len(leases), 500)
		w.announceMany(len(leases), batch)
		entries := w.read(alice, batch)
		for i, take := range w.acquire(alice, entries...) {
			require.Equal(b, Acquired, take.Verdict)
			leases = append(leases, w.lease(alice, entries[i], take.Token))
		}
	}
	return w, leases
}

func (w *harness) announceMany(from, n int) {
	commands := make(rueidis.Commands, n)
	for i := range commands {
		text := fmt.Sprintf(`{"DataStreamName":"stream%06d","Info":{"k":"v"}}`, from+i)
		commands[i] = w.Client.B().Xadd().Key(w.keys.Input).Id("*").FieldValue().FieldValue(FieldAnnouncement, text).Build()
	}
	for _, result := range w.Client.DoMulti(w.ctx, commands...) {
		require.NoError(w.t, result.Error())
	}
}

// serverTime is what a command has cost the server since the last reset.
func (w *harness) serverTime(command string) time.Duration {
	stats, err := w.server.CommandStats(w.ctx)
	require.NoError(w.t, err)
	return time.Duration(stats[command].UsecTotal) * time.Microsecond
}

// cpu is the processor time the server has used, in steps of 10 ms.
func (w *harness) cpu() time.Duration {
	used, err := w.server.CPU()
	require.NoError(w.t, err)
	return used
}

// clientCPU is the processor time that this process has used.
func clientCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (w *harness) reset() { require.NoError(w.t, w.server.ResetStats(w.ctx)) }

// BenchmarkRenew renews in full batches, and extends the same keys with bare PEXPIREs in one pipeline beside it, which
// checks no owner. The server's time is given twice: redis-ns/lease is what it counts itself, within commands, and cpu-ratio
// compares the processor time of the whole process, with reading and parsing what was sent. client-ns/lease is the
// processor time of this process.
func BenchmarkRenew(b *testing.B) {
	const size = DefaultMaxBatch
	for _, batches := range []int{1, 4} {
		b.Run(strconv.Itoa(batches)+"x"+strconv.Itoa(size), func(b *testing.B) {
			w, leases := benchHarness(b, batches*size)
			groups := make([][]*Lease, batches)
			for i := range groups {
				groups[i] = leases[i*size : (i+1)*size]
			}
			var out []Renewal
			renew := func() {
				out = w.store.Renew(w.ctx, 0, alice, 1, groups, nil, out[:0])
				for i := range out {
					if out[i].Err != nil || out[i].Verdict(0) != Kept {
						b.Fatal(out[i])
					}
				}
			}
			renew()
			w.reset()
			server, client := w.cpu(), clientCPU(b)
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for b.Loop() {
				renew()
				n++
			}
			b.StopTimer()
			perLease := float64(n * batches * size)
			b.ReportMetric(float64(clientCPU(b)-client)/perLease, "client-ns/lease")
			serverScript := w.cpu() - server
			script := float64(w.serverTime("evalsha")) / perLease

			w.reset()
			server = w.cpu()
			for range n {
				commands := make(rueidis.Commands, 0, len(leases))
				for _, l := range leases {
					commands = append(commands, w.Client.B().Pexpire().Key(l.Key()).Milliseconds(3_600_000).Build())
				}
				for _, r := range w.Client.DoMulti(w.ctx, commands...) {
					if r.Error() != nil {
						b.Fatal(r.Error())
					}
				}
			}
			bare := float64(w.serverTime("pexpire")) / perLease
			b.ReportMetric(script, "redis-ns/lease")
			b.ReportMetric(script/bare, "redis-ratio")
			b.ReportMetric(float64(serverScript)/float64(w.cpu()-server), "cpu-ratio")
			b.ReportMetric(float64(serverScript)/perLease, "cpu-ns/lease")
		})
	}
}

// BenchmarkEntry takes a batch of entries through acquire and done, or acquire and requeue; the metrics are server time an entry.
func BenchmarkEntry(b *testing.B) {
	size := Pipeline{}.WithDefaults().MaxMoves()
	w, _ := benchHarness(b, 0)
	var acquire, done, requeue, read time.Duration
	n := 0
	w.announceMany(0, size)
	for b.Loop() {
		w.reset()
		entries := w.read(alice, size)
		read += w.serverTime("xreadgroup")
		requeue += w.round(entries, w.requeue)
		w.reset()
		entries = w.read(alice, size)
		w.reset()
		takes := w.acquire(alice, entries...)
		acquire += w.serverTime("evalsha")
		returns := make([]Disposition, len(takes))
		for i, take := range takes {
			returns[i] = back(w.lease(alice, entries[i], take.Token))
		}
		w.reset()
		w.done(alice, returns...)
		done += w.serverTime("evalsha")
		w.announceMany(0, size)
		n += size
	}
	for name, total := range map[string]time.Duration{"acquire": acquire, "done": done, "requeue": requeue, "read": read} {
		b.ReportMetric(float64(total.Nanoseconds())/float64(n)/1000, name+"-redis-us/entry")
	}
}

// round acquires entries and ends them; it answers the server's time for the ending.
func (w *harness) round(entries []*Entry, end func(string, ...Disposition) []Outcome) time.Duration {
	takes := w.acquire(alice, entries...)
	returns := make([]Disposition, len(takes))
	for i, take := range takes {
		returns[i] = back(w.lease(alice, entries[i], take.Token))
	}
	w.reset()
	end(alice, returns...)
	return w.serverTime("evalsha")
}

// BenchmarkRead is what reading 1,000 new entries costs the server, plainly and with a bound in bytes.
func BenchmarkRead(b *testing.B) {
	const n = 1000
	for _, way := range []struct {
		name, command string
		read          func(w *harness) int
	}{
		{"plain", "xreadgroup", func(w *harness) int {
			entries, err := w.store.Read(w.ctx, 0, alice, n, time.Millisecond)
			require.NoError(b, err)
			return len(entries)
		}},
		{"by weight", "evalsha", func(w *harness) int {
			entries, _, err := w.store.ReadOn(w.ctx, 0, alice, n, MaxCallWeight, 0)
			require.NoError(b, err)
			return len(entries)
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			w := newHarness(b)
			w.open(alice)
			w.announceMany(0, n)
			require.Equal(b, n, way.read(w)) // loads the script
			// The least, since other processes of the machine count in the server's time.
			least := time.Hour
			for b.Loop() {
				b.StopTimer()
				w.announceMany(0, n)
				w.reset()
				b.StartTimer()
				require.Equal(b, n, way.read(w))
				b.StopTimer()
				least = min(least, w.serverTime(way.command))
				b.StartTimer()
			}
			b.ReportMetric(float64(least.Nanoseconds())/n, "server-ns/entry")
		})
	}
}
