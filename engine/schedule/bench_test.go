package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/lease"
)

type noEnds struct{}

func (noEnds) Ended(api.Lease, error) {}

// BenchmarkTicks fires the ticks of 10,000 schedules of 1 s for a second an iteration, with leases as the engine has them and a handler that does
// nothing. Redis, and the goroutines that talk to it, are left out. The metrics are what the process takes for one tick: processor time, and
// memory that is allocated.
func BenchmarkTicks(b *testing.B) {
	const schedules = 10_000
	row := record.Row{Rev: 1, Born: time.Now().UnixMilli(), Since: time.Now().UnixMilli()}
	var fired atomic.Int64
	k, err := newCore(coreParts{
		open: func(o Owned) (Task, error) {
			return TaskFunc(func(context.Context, *Tick) error { fired.Add(1); return nil }), nil
		},
		table: spread(row), ends: noEnds{}, serverTime: func(int) (time.Time, bool) { return time.Now(), true },
		partitionOf: func(string) int { return 0 }, partitions: 1, log: slog.New(slog.DiscardHandler), service: b.Name(),
	})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(ctx)
	}()
	defer func() {
		cancel()
		<-done
		k.stop()
	}()
	clock := lease.NewClock()
	session := lease.NewSession(ctx, clock, 0, "a", clock.Now(), time.Hour)
	for n := range schedules {
		name := fmt.Sprintf("schedule-%d", n)
		k.Added(lease.New(session, &lease.Entry{Stream: name, Key: "{s}:lease:" + name, ID: "1700000000000-0"}, api.Token(n+1), clock.Now(), time.Hour, nil))
	}
	store := func() {
		time.Sleep(time.Second)
		items, _ := session.TakeUnsaved(lease.AllUnsaved)
		for _, x := range items {
			x.Lease.Stored()
		}
	}
	store()
	store()
	before, cpu, allocated := fired.Load(), processorTime(b), allocations()
	for b.Loop() {
		store()
	}
	ticks := float64(fired.Load() - before)
	after := allocations()
	b.ReportMetric(float64(processorTime(b)-cpu)/ticks, "cpu-ns/tick")
	b.ReportMetric(float64(after.Mallocs-allocated.Mallocs)/ticks, "allocs/tick")
	b.ReportMetric(float64(after.TotalAlloc-allocated.TotalAlloc)/ticks, "B/tick")
	b.ReportMetric(ticks/float64(b.N), "ticks/op")
}

// spread is a table of schedules of 1 s, whose phase is from the name.
type spread record.Row

func (s spread) Rows(_ context.Context, _ int, names []string) ([]string, error) {
	rows := make([]string, len(names))
	for i, name := range names {
		spec := Spec{Name: name, Every: time.Second}
		d, err := spec.definition()
		if err != nil {
			return nil, err
		}
		row := record.Row(s)
		row.Definition = d
		rows[i] = row.Encode()
	}
	return rows, nil
}

func allocations() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
