package schedule_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
	"github.com/streamlease/streamlease/test/wait"
)

const service = "monitors"

// fleet is what the processes of a test have fired.
type fleet struct {
	t     *testing.T
	table *schedule.Table

	mu    sync.Mutex
	ticks []tick
}

// tick is a tick that was fired.
type tick struct {
	*schedule.Tick
	by    *process
	began time.Time
}

// process is a runner on a real server.
type process struct {
	*schedule.Runner
	engine *engine.Engine
	log    telemetry.Log
	stop   func() error // waits for Run, and returns its error

	mu      sync.Mutex
	changed []time.Duration
	stopped []error
}

func newFleet(t *testing.T, client rueidis.Client, opts ...engine.PublisherOption) *fleet {
	t.Helper()
	table, err := schedule.NewTable(client, service, opts...)
	require.NoError(t, err)
	return &fleet{t: t, table: table}
}

func (f *fleet) put(specs ...schedule.Spec) {
	f.t.Helper()
	_, err := f.table.Put(f.t.Context(), specs...)
	require.NoError(f.t, err)
}

// start starts a process, whose tasks write down what is called.
func (f *fleet) start(opt rueidis.ClientOption, opts ...engine.Option) *process {
	f.t.Helper()
	p := &process{}
	e, err := engine.Open(opt, service, append([]engine.Option{engine.WithRegisterer(prometheus.NewRegistry()), engine.WithLogger(p.log.Logger())}, opts...)...)
	require.NoError(f.t, err)
	p.engine = e
	p.Runner, err = schedule.New(e, func(schedule.Owned) (schedule.Task, error) { return &task{f, p}, nil }, schedule.Config{})
	require.NoError(f.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceValue(func() error { cancel(); return <-done })
	f.t.Cleanup(func() {
		_ = p.stop()
		if f.t.Failed() {
			f.t.Logf("log:\n%s", p.log.String())
		}
	})
	until(f.t, "the engine is ready", func() bool { return e.Ready(context.Background()) == nil })
	return p
}

// task writes down what is called.
type task struct {
	fleet *fleet
	by    *process
}

func (k *task) Tick(_ context.Context, t *schedule.Tick) error {
	k.fleet.mu.Lock()
	defer k.fleet.mu.Unlock()
	k.fleet.ticks = append(k.fleet.ticks, tick{t, k.by, time.Now()})
	t.Save([]byte(t.ID()))
	return nil
}

func (k *task) Changed(spec *schedule.Spec) {
	k.by.mu.Lock()
	defer k.by.mu.Unlock()
	k.by.changed = append(k.by.changed, spec.Every)
}

func (k *task) Stop(cause error) {
	k.by.mu.Lock()
	defer k.by.mu.Unlock()
	k.by.stopped = append(k.by.stopped, cause)
}

func (p *process) stops() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]error(nil), p.stopped...)
}

func (p *process) changes() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Duration(nil), p.changed...)
}

// of returns what was fired of a schedule.
func (f *fleet) of(name string) (ticks []tick) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.ticks {
		if t.Schedule == name {
			ticks = append(ticks, t)
		}
	}
	return ticks
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.True(t, wait.For(time.Minute, 5*time.Millisecond, done), "never: %s", what)
}

// A schedule is put, ticks, is edited, paused, triggered, resumed and deleted; its owner stays the same until then.
func TestLifeOfASchedule(t *testing.T) {
	server := servers.New(t)
	f := newFleet(t, server.Client(t))
	p := f.start(server.ClientOption())
	f.put(schedule.Spec{Name: "shop {eu}", Every: 200 * time.Millisecond})
	until(t, "three ticks", func() bool { return len(f.of("shop {eu}")) >= 3 })

	f.put(schedule.Spec{Name: "shop {eu}", Every: time.Hour})
	until(t, "the edit is taken in", func() bool { return len(p.changes()) == 1 })
	require.Equal(t, time.Hour, p.changes()[0])

	ctx := t.Context()
	require.NoError(t, f.table.Trigger(ctx, "shop {eu}"))
	until(t, "the manual tick", func() bool { all := f.of("shop {eu}"); return all[len(all)-1].Manual })

	require.NoError(t, f.table.Pause(ctx, "maintenance", "shop {eu}"))
	until(t, "it is paused", func() bool { return p.Stats().Paused == 1 })
	status, err := f.table.Get(ctx, "shop {eu}")
	require.NoError(t, err)
	require.True(t, status.Paused)
	require.Equal(t, "maintenance", status.Note)
	require.Contains(t, status.Owner, p.engine.ID())
	require.NoError(t, f.table.Resume(ctx, "shop {eu}"))
	until(t, "it is resumed", func() bool { return p.Stats().Paused == 0 })

	deleted, err := f.table.Delete(ctx, []string{"shop {eu}"}, schedule.Wait())
	require.NoError(t, err)
	require.Equal(t, 1, deleted)
	until(t, "its task is stopped", func() bool { return len(p.stops()) == 1 })
	require.ErrorIs(t, p.stops()[0], schedule.ErrDeleted)
	tokens := map[api.Token]bool{}
	for _, fired := range f.of("shop {eu}") {
		tokens[fired.Token] = true
	}
	require.Len(t, tokens, 1, "edits keep the owner")
	require.NoError(t, p.stop())
}

// A deploy loses no tick and repeats none.
func TestDeployLosesAndRepeatsNothing(t *testing.T) {
	const every = 100 * time.Millisecond
	server := servers.New(t)
	f := newFleet(t, server.Client(t))
	old := f.start(server.ClientOption())
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		f.put(schedule.Spec{Name: name, Every: every, First: schedule.OnGrid})
	}
	until(t, "they tick", func() bool { return len(f.of("d")) > 3 })
	next := f.start(server.ClientOption())
	require.NoError(t, old.stop())
	for _, err := range old.stops() {
		require.ErrorIs(t, err, api.ErrReleasing)
	}
	until(t, "the next one goes on with all", func() bool {
		for _, name := range names {
			if all := f.of(name); all[len(all)-1].by != next || len(all) < 15 {
				return false
			}
		}
		return true
	})
	require.NoError(t, next.stop())
	for _, name := range names {
		at, number := time.Time{}, uint64(0)
		for _, fired := range f.of(name) {
			if !at.IsZero() {
				require.Equal(t, at.Add(time.Duration(fired.Missed+1)*every), fired.At, "each is fired, or counted by the next")
				require.Equal(t, number+1, fired.Number)
			}
			at, number = fired.At, fired.Number
		}
	}
}

// A process that is cut off fires nothing once nothing remains of its leases, and another one goes on: with the latest of what was missed, and
// the state that was saved.
func TestAnotherProcessGoesOnWhenOneIsCutOff(t *testing.T) {
	server := servers.New(t)
	link := proxy.New(t, server.Addr())
	f := newFleet(t, server.Client(t))
	sessions := engine.WithSessionTTL(3 * time.Second)
	cut := f.start(link.ClientOption(), sessions)
	f.put(schedule.Spec{Name: "a", Every: 250 * time.Millisecond})
	until(t, "it ticks, and that is stored", func() bool {
		s, err := f.table.Get(t.Context(), "a")
		return err == nil && s.Number > 2
	})
	other := f.start(server.ClientOption(), sessions)
	link.Cut()
	until(t, "the other one goes on", func() bool { all := f.of("a"); return all[len(all)-1].by == other })
	until(t, "it ticks on", func() bool { all := f.of("a"); return len(all) > 3 && all[len(all)-3].by == other })

	all := f.of("a")
	var token api.Token
	missed := 0
	for i, fired := range all {
		require.GreaterOrEqual(t, fired.Token, token)
		if fired.Token > token && i > 0 {
			require.True(t, all[i-1].began.Before(fired.began))
			missed = fired.Missed
		}
		token = fired.Token
	}
	require.Greater(t, missed, 3, "those of the outage")
	link.Restore()
	require.NoError(t, other.stop())
	require.NoError(t, cut.stop())
}

// Schedules of several partitions, on several masters, tick in two processes, and in one when the other has ended.
func TestSchedulesOnACluster(t *testing.T) {
	cluster := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	client, err := rueidis.NewClient(cluster.ClientOption())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	partitions := engine.WithPartitions(4)
	f := newFleet(t, client, partitions)
	processes := []*process{f.start(cluster.ClientOption(), partitions), f.start(cluster.ClientOption(), partitions)}
	names := make([]string, 40)
	specs := make([]schedule.Spec, len(names))
	for i := range names {
		names[i] = fmt.Sprintf("monitor {%d}", i)
		specs[i] = schedule.Spec{Name: names[i], Every: 300 * time.Millisecond}
	}
	f.put(specs...)
	tickBy := func(by ...*process) func() bool {
		return func() bool {
			for _, name := range names {
				if all := f.of(name); len(all) < 2 || !slices.Contains(by, all[len(all)-1].by) {
					return false
				}
			}
			return true
		}
	}
	until(t, "all tick", tickBy(processes...))
	require.NoError(t, processes[0].stop())
	until(t, "all tick in the other process", tickBy(processes[1]))

	seen := 0
	for status, err := range f.table.List(t.Context(), schedule.Filter{Prefix: "monitor"}) {
		require.NoError(t, err)
		require.NoError(t, status.Err)
		require.Contains(t, status.Owner, processes[1].engine.ID())
		seen++
	}
	require.Equal(t, len(names), seen)
	require.NoError(t, processes[1].stop())
}
