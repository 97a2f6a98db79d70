package engine

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/wheel"
)

func resolved(t *testing.T, opts ...Option) *config {
	t.Helper()
	c, layout, err := resolve("orders", opts)
	require.NoError(t, err)
	require.Equal(t, "orders", layout.Service())
	require.Equal(t, c.partitions, layout.Partitions())
	return c
}

func TestConfigDefaults(t *testing.T) {
	t.Setenv("POD_NAME", "orders-7")
	c := resolved(t)
	require.Equal(t, "orders-7", c.consumerID)
	require.Equal(t, 1, c.partitions)
	require.Equal(t, 30*time.Second, c.leaseTTL)
	require.Equal(t, 10*time.Second, c.sessionTTL)
	require.Equal(t, 20*time.Second, c.drainTimeout)
	require.Equal(t, wheel.Config{}.WithDefaults(), c.wheel)
	require.Equal(t, lease.Pipeline{MaxBatch: 512, MaxInFlight: 1, Timeout: time.Second}, c.pipeline)
	require.Equal(t, scan.Config{}.WithDefaults(), c.recovery)
	require.Equal(t, 16, c.workers)
	require.Equal(t, 0, c.maxStreams)
	require.Equal(t, 1000, c.readBatch)
	require.Equal(t, 10_000, c.maxParked)
	require.True(t, c.settle)
	require.False(t, c.expired)
	require.False(t, c.legacy)
	require.Nil(t, c.registerer)
	require.Nil(t, c.renewalClient)
	require.Nil(t, c.dial)
	require.Same(t, slog.Default(), c.logger)
	require.NotPanics(t, func() { c.events(api.Event{Kind: api.EventDrainStarted}) })
}

// An option fed from a flag that nobody set changes nothing.
func TestConfigZeroMeansDefault(t *testing.T) {
	requireAllOptions(t, "TestConfigZeroMeansDefault", func(option string) bool {
		switch option {
		case "WithExpired", "WithKeyspaceEvents", "WithForeignConsumers": // take nothing
			return false
		case "WithSettle": // takes a bool, since its default is true
			return false
		}
		return true
	})
	none := resolved(t)
	zero := resolved(t, WithConsumerID(""), WithPartitions(0), WithLeaseTTL(0), WithSessionTTL(0), WithDrainTimeout(0),
		WithWheel(wheel.Config{}), WithPipeline(lease.Pipeline{}), WithWorkers(0), WithMaxStreams(0), WithReadBatch(0),
		WithMaxParked(0), WithReadMemory(0), WithLimits(Limits{}), WithRecovery(scan.Config{}), WithCluster(cluster.Config{}),
		WithBreaker(breaker.Config{}), WithLockFile(""), WithMaintenance(notice.Config{}), WithRenewalClient(nil), WithDial(rueidis.ClientOption{}),
		WithRegisterer(nil), WithLogger(nil), WithEvents(nil), WithBalance(balance.Config{}), WithWeight(0), WithMiddleware(),
		WithScriptHook(nil))
	none.events, zero.events = nil, nil // functions are not comparable
	require.Equal(t, none, zero)
}

// No option is missing here, and each sets a field of its own to something else than the default.
func TestConfigOptionsAreApplied(t *testing.T) {
	requireAllOptions(t, "TestConfigOptionsAreApplied", func(string) bool { return true })
	t.Setenv("POD_NAME", "default")
	logger := slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	reported := 0
	var renewals cluster.Client
	c := resolved(t,
		WithConsumerID("first"), WithConsumerID("worker:7.a_b-c"),
		WithPartitions(12),
		WithLeaseTTL(time.Minute),
		WithSessionTTL(15*time.Second),
		WithDrainTimeout(time.Minute),
		WithWheel(wheel.Config{Tick: 50 * time.Millisecond, SlotBits: 8}),
		WithPipeline(lease.Pipeline{MaxBatch: 10, MaxInFlight: 9, Timeout: 2 * time.Second}),
		WithWorkers(7), WithMaxStreams(8), WithReadBatch(9), WithMaxParked(10), WithReadMemory(11<<20),
		WithBalance(balance.Config{Shed: balance.Off}), WithWeight(2.5),
		WithLimits(Limits{MaxName: 100}),
		WithRecovery(scan.Config{MaxRetries: scan.NoRetries}),
		WithCluster(cluster.Config{PollInterval: time.Minute}),
		WithLockFile("/run/orders.lock"),
		WithBreaker(breaker.Config{Failures: 2, Wait: time.Minute, Trials: 3}),
		WithMaintenance(notice.Config{Mode: notice.Off}),
		WithRenewalClient(&renewals),
		WithDial(rueidis.ClientOption{InitAddress: []string{"a:1"}}),
		WithExpired(), WithKeyspaceEvents(), WithSettle(false), WithForeignConsumers(),
		WithRegisterer(registry), WithLogger(logger),
		WithEvents(func(api.Event) { reported++ }),
		WithMiddleware(func(h api.Handler) api.Handler { return h }),
		WithScriptHook(func(context.Context, string) func(error) { return nil }))
	require.Equal(t, "worker:7.a_b-c", c.consumerID, "the last one wins")
	require.Equal(t, "/run/orders.lock", c.lockFile)
	require.Len(t, c.middleware, 1)
	require.NotNil(t, c.scriptHook)
	require.Equal(t, 12, c.partitions)
	require.Equal(t, time.Minute, c.leaseTTL)
	require.Equal(t, 15*time.Second, c.sessionTTL)
	require.Equal(t, time.Minute, c.drainTimeout)
	require.Equal(t, wheel.Config{Tick: 50 * time.Millisecond, SlotBits: 8}.WithDefaults(), c.wheel)
	require.Equal(t, lease.Pipeline{MaxBatch: 10, MaxInFlight: 9, Timeout: 2 * time.Second}, c.pipeline)
	require.Equal(t, 2*time.Second, c.timeout)
	require.Equal(t, []int{7, 8, 9, 10}, []int{c.workers, c.maxStreams, c.readBatch, c.maxParked})
	require.Equal(t, balance.Config{Shed: balance.Off, Budget: balance.DefaultBudget}, c.balance)
	require.InDelta(t, 2.5, c.weight, 0)
	require.Equal(t, -1, c.recovery.MaxRetries)
	require.Equal(t, scan.DefaultInterval, c.recovery.Interval)
	require.Equal(t, 11<<20, c.readMemory)
	require.Equal(t, Limits{MaxName: 100}.WithDefaults(), c.limits)
	require.Equal(t, time.Minute, c.cluster.PollInterval)
	require.Equal(t, breaker.Config{Failures: 2, Wait: time.Minute, Trials: 3}, c.breaker)
	require.Equal(t, notice.Off, c.notices.Mode)
	require.Same(t, &renewals, c.renewalClient)
	require.Equal(t, []string{"a:1"}, c.dial.InitAddress)
	require.True(t, c.expired)
	require.True(t, c.setEvents)
	require.False(t, c.settle)
	require.True(t, c.legacy)
	require.Same(t, registry, c.registerer)
	require.Same(t, logger, c.logger)
	c.events(api.Event{})
	require.Equal(t, 1, reported)

	// A field that is still the default belongs to an option that the list above lacks, or that does nothing.
	got, byDefault := reflect.ValueOf(c).Elem(), reflect.ValueOf(resolved(t)).Elem()
	for n := range got.NumField() {
		name := got.Type().Field(n).Name
		if name == "beat" { // the first of those that are derived
			break
		}
		if name == "dialer" { // made from dial when a client is made
			continue
		}
		require.NotEqual(t, fmt.Sprintf("%+v", byDefault.Field(n)), fmt.Sprintf("%+v", got.Field(n)), "config.%s", name)
	}
}

// requireAllOptions checks that a test of this file calls every function of option.go that makes an option of an engine, as far as
// they are wanted by their names.
func requireAllOptions(t *testing.T, test string, wanted func(option string) bool) {
	t.Helper()
	called := map[string]bool{}
	ast.Inspect(declared(t, "config_test.go", test), func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if name, ok := call.Fun.(*ast.Ident); ok {
				called[name.Name] = true
			}
		}
		return true
	})
	for _, d := range parsed(t, "option.go").Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Type.Results == nil || !wanted(f.Name.Name) {
			continue
		}
		switch fmt.Sprint(f.Type.Results.List[0].Type) {
		case "Option", "SharedOption":
			require.True(t, called[f.Name.Name], "%s lacks %s", test, f.Name.Name)
		}
	}
}

func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	return f
}

func declared(t *testing.T, file, name string) *ast.FuncDecl {
	t.Helper()
	for _, d := range parsed(t, file).Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return f
		}
	}
	require.Fail(t, "no such function", "%s in %s", name, file)
	return nil
}

// Everything that is derived from the TTLs, in full, so that a change of a formula shows.
func TestConfigDerivedValues(t *testing.T) {
	tick := func(d time.Duration) Option { return WithWheel(wheel.Config{Tick: d}) }
	for _, test := range []struct {
		name string
		opts []Option
		want string
	}{
		{"defaults", nil,
			"lease 30s session 10s tick 100ms beat 1s margins 1s 1s interval 10s timeout 1s retry 250ms block 4.5s gap 2s"},
		{"lease 500ms", []Option{WithLeaseTTL(500 * time.Millisecond)},
			"lease 500ms session 500ms tick 25ms beat 100ms margins 100ms 100ms interval 166.666666ms timeout 150ms retry 25ms block 200ms gap 200ms"},
		{"lease 2s", []Option{WithLeaseTTL(2 * time.Second)},
			"lease 2s session 2s tick 100ms beat 400ms margins 250ms 250ms interval 666.666666ms timeout 675ms retry 100ms block 800ms gap 800ms"},
		{"lease 5s", []Option{WithLeaseTTL(5 * time.Second)},
			"lease 5s session 5s tick 100ms beat 1s margins 500ms 500ms interval 1.666666666s timeout 1s retry 250ms block 2s gap 2s"},
		{"lease 2h", []Option{WithLeaseTTL(2 * time.Hour)},
			"lease 2h0m0s session 10s tick 100ms beat 1s margins 7.2s 1s interval 40m0s timeout 1s retry 250ms block 4.5s gap 2s"},
		{"session 3s", []Option{WithSessionTTL(3 * time.Second)},
			"lease 30s session 3s tick 100ms beat 600ms margins 1s 300ms interval 10s timeout 1s retry 150ms block 1.2s gap 1.2s"},
		{"session 30s", []Option{WithSessionTTL(30 * time.Second)},
			"lease 30s session 30s tick 100ms beat 1s margins 1s 1s interval 10s timeout 1s retry 250ms block 5s gap 2s"},
		{"session 1s", []Option{WithSessionTTL(time.Second)},
			"lease 30s session 1s tick 50ms beat 200ms margins 1s 150ms interval 10s timeout 325ms retry 50ms block 400ms gap 400ms"},
		{"tick 1s", []Option{tick(time.Second)},
			"lease 30s session 10s tick 1s beat 1s margins 2.05s 2.05s interval 10s timeout 1s retry 250ms block 4.5s gap 2s"},
		{"lease 2s tick 10ms", []Option{WithLeaseTTL(2 * time.Second), tick(10 * time.Millisecond)},
			"lease 2s session 2s tick 10ms beat 400ms margins 200ms 200ms interval 666.666666ms timeout 700ms retry 100ms block 800ms gap 800ms"},
		{"timeout 3s", []Option{WithPipeline(lease.Pipeline{Timeout: 3 * time.Second})},
			"lease 30s session 10s tick 100ms beat 1s margins 1s 1s interval 10s timeout 3s retry 250ms block 4.5s gap 2s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, derivedValues(resolved(t, test.opts...)))
		})
	}
}

func derivedValues(c *config) string {
	return fmt.Sprintf("lease %v session %v tick %v beat %v margins %v %v interval %v timeout %v retry %v block %v gap %v",
		c.leaseTTL, c.sessionTTL, c.wheel.Tick, c.beat, c.leaseMargin, c.sessionMargin, c.interval, c.timeout, c.retry, c.block, c.gap)
}

func TestConfigOnCluster(t *testing.T) {
	c := resolved(t)
	require.NoError(t, c.onCluster())
	require.Equal(t, "lease 30s session 20s tick 100ms beat 1s margins 1s 1s interval 10s timeout 1s retry 250ms block 5s gap 2s",
		derivedValues(c))

	for _, opts := range [][]Option{
		{WithSessionTTL(12 * time.Second)},
		{WithLeaseTTL(2 * time.Second)},
		{WithLeaseTTL(2 * time.Second), WithPipeline(lease.Pipeline{Timeout: 100 * time.Millisecond})},
	} {
		c := resolved(t, opts...)
		before := derivedValues(c)
		require.NoError(t, c.onCluster())
		require.Equal(t, before, derivedValues(c), "what the user set stays")
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []Option
		want string
	}{
		{"nil option", []Option{WithExpired(), nil}, "option 2 of 2 is nil; leave it out"},
		{"consumer id", []Option{WithConsumerID("a b")}, `consumer id: "a b" has " " at byte 1; use letters, digits`},
		{"legacy id", []Option{WithConsumerID("redis-consumer-1")}, `consumer id: "redis-consumer-1" begins with "redis-consumer-"`},
		{"long id", []Option{WithConsumerID(strings.Repeat("x", 201))}, "has 201 bytes, the limit is 200"},
		{"partitions", []Option{WithPartitions(-1)}, "partitions: -1 is not between 1 and 1024; leave it out for 1"},
		{"partitions", []Option{WithPartitions(1025)}, "partitions: 1025 is not between 1 and 1024"},
		{"lease", []Option{WithLeaseTTL(499 * time.Millisecond)}, "WithLeaseTTL: 499ms is not between 500ms and 24h0m0s; leave it out for 30s"},
		{"lease", []Option{WithLeaseTTL(-1)}, "WithLeaseTTL: -1ns is not between 500ms and 24h0m0s"},
		{"lease", []Option{WithLeaseTTL(25 * time.Hour)}, "WithLeaseTTL: 25h0m0s is not between 500ms and 24h0m0s"},
		{"session", []Option{WithSessionTTL(100 * time.Millisecond)}, "WithSessionTTL: 100ms is not between 500ms and 24h0m0s; leave it out for 10s"},
		{"session", []Option{WithSessionTTL(-time.Second)}, "WithSessionTTL: -1s is not between"},
		{"drain", []Option{WithDrainTimeout(-time.Second)}, "WithDrainTimeout: -1s is not between 100ms and 24h0m0s; leave it out for 20s"},
		{"drain", []Option{WithDrainTimeout(25 * time.Hour)}, "WithDrainTimeout: 25h0m0s is not between"},
		{"drain", []Option{WithDrainTimeout(99 * time.Millisecond)}, "WithDrainTimeout: 99ms is not between 100ms and"},
		{"workers", []Option{WithWorkers(-1)}, "WithWorkers: -1 is not between 1 and 10000; leave it out for 16"},
		{"workers", []Option{WithWorkers(10_001)}, "WithWorkers: 10001 is not between 1 and 10000"},
		{"read batch", []Option{WithReadBatch(-1)}, "WithReadBatch: -1 is not between 1 and 10000; leave it out for 1000"},
		{"read batch", []Option{WithReadBatch(10_001)}, "WithReadBatch: 10001 is not between"},
		{"parked", []Option{WithMaxParked(-1)}, "WithMaxParked: -1 is not at least 1; leave it out for 10000"},
		{"no memory", []Option{WithReadMemory(1 << 20)}, "WithReadMemory: 1048576 is below 8388608"},
		{"too little memory", []Option{WithReadMemory(10 << 20), WithLimits(Limits{MaxInfo: 8 << 20})}, "twice the longest announcement of WithLimits, 17565696"},
		{"long names", []Option{WithLimits(Limits{MaxName: 1 << 20})}, "WithLimits: Limits.MaxName is 1048576, must be from 1 to 65536"},
		{"no names", []Option{WithLimits(Limits{MaxName: -1})}, "WithLimits: Limits.MaxName is -1, must be from 1 to 65536"},
		{"many fields", []Option{WithLimits(Limits{MaxFields: 4000})}, "WithLimits: Limits.MaxFields is 4000, must be from 16 to 3900"},
		{"info beyond the entry", []Option{WithLimits(Limits{MaxInfo: 2 << 20, MaxEntry: 1 << 20})}, "WithLimits: Limits.MaxInfo is 2097152, must be from 2 to 1048576"},
		{"wheel", []Option{WithWheel(wheel.Config{Tick: time.Microsecond})}, "WithWheel: wheel: Tick is 1µs, must be from 1ms to 1h0m0s"},
		{"wheel", []Option{WithWheel(wheel.Config{SlotBits: 13})}, "WithWheel: wheel: SlotBits is 13"},
		{"pipeline", []Option{WithPipeline(lease.Pipeline{MaxBatch: 1001})}, "WithPipeline: Pipeline.MaxBatch is 1001, must be from 1 to 1000"},
		{"pipeline", []Option{WithPipeline(lease.Pipeline{Timeout: -1})}, "WithPipeline: Pipeline.Timeout is -1ns"},
		{"pipeline", []Option{WithPipeline(lease.Pipeline{Timeout: 9 * time.Millisecond})},
			"WithPipeline: Timeout: 9ms is below 10ms; leave it out, for at most 1s"},
		{"no dead letters", []Option{WithRecovery(scan.Config{DLQMaxLen: -1})}, "WithRecovery: scan: DLQMaxLen is -1, must be at least 1"},
		{"recovery", []Option{WithRecovery(scan.Config{Interval: 1})}, "WithRecovery: scan: Interval is 1ns"},
		{"dial", []Option{WithDial(rueidis.ClientOption{Username: "x"})}, "WithDial: InitAddress is empty; give it the address of a server"},

		{"session above lease", []Option{WithSessionTTL(31 * time.Second)},
			"WithSessionTTL: 31s is above the lease TTL, 30s, but a lease must outlive settling, which lasts a session TTL; use at most 30s, or WithLeaseTTL(31s)"},
		{"session above lease", []Option{WithLeaseTTL(2 * time.Second), WithSessionTTL(3 * time.Second)},
			"WithSessionTTL: 3s is above the lease TTL, 2s"},
		{"tick above beat", []Option{WithWheel(wheel.Config{Tick: 1100 * time.Millisecond})},
			"WithWheel: Tick is 1.1s, above the time between beats, 1s, of a session TTL of 10s; use a Tick of at most 1s, or leave it out"},
		{"tick and margin", []Option{WithLeaseTTL(2 * time.Second), WithWheel(wheel.Config{Tick: 310 * time.Millisecond})},
			"WithWheel: Tick is 310ms, which asks for a margin of 670ms, but a third of the session TTL of 2s is 666.666666ms;" +
				" use a Tick below 308.333333ms, or a longer TTL"},
		{"tick and margin", []Option{WithLeaseTTL(500 * time.Millisecond), WithWheel(wheel.Config{Tick: 100 * time.Millisecond})},
			"WithWheel: Tick is 100ms, which asks for a margin of 250ms"},
		{"timeout and session", []Option{WithPipeline(lease.Pipeline{Timeout: 8 * time.Second})},
			"WithPipeline: Timeout: a beat every 1s + a timeout of 8s must be below the session TTL - its margin, 10s - 1s = 9s;" +
				" use a Timeout below 8s, or a longer WithSessionTTL"},
		{"timeout and lease", []Option{WithSessionTTL(30 * time.Second), WithPipeline(lease.Pipeline{Timeout: 19 * time.Second})},
			"WithPipeline: Timeout: a renewal every 10s + a timeout of 19s must be below the lease TTL - its margin, 30s - 1s = 29s;" +
				" use a Timeout below 19s, or a longer WithLeaseTTL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, layout, err := resolve("orders", test.opts)
			require.ErrorIs(t, err, api.ErrInvalidConfig)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, 1, strings.Count(err.Error(), api.ErrInvalidConfig.Error()))
			require.Nil(t, c)
			require.Nil(t, layout)
		})
	}
}

func TestConfigErrorNamesTheService(t *testing.T) {
	_, _, err := resolve("a{b}", nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, `service: "a{b}"`)
}

// No option leads to these errors: the checks guard the formulae.
func TestConfigRelationsHoldWhateverTheFormulae(t *testing.T) {
	for want, spoil := range map[string]func(*config){
		"WithSessionTTL: 10s is below three beats of 4s; use at least 12s": func(c *config) { c.beat = 4 * time.Second },
		"asks for a margin of 10s, but a third of the lease TTL of 30s":    func(c *config) { c.leaseMargin = 10 * time.Second },
	} {
		c := resolved(t)
		spoil(c)
		err := c.checkRelations()
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, want)
	}
}

// A TTL alone, whatever it is, makes a working configuration: only TTLs that contradict each other are refused.
func TestConfigAnyConsistentTTLsWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := rapid.Int64Range(int64(MinTTL), int64(MaxTTL))
		first, second := time.Duration(ttl.Draw(t, "a")), time.Duration(ttl.Draw(t, "b"))
		var opts []Option
		if rapid.Bool().Draw(t, "lease") {
			opts = append(opts, WithLeaseTTL(max(first, second)))
			if rapid.Bool().Draw(t, "session") {
				opts = append(opts, WithSessionTTL(min(first, second)))
			}
		}
		c, _, err := resolve("orders", opts)
		require.NoError(t, err)
		for range 2 {
			require.Positive(t, c.block.Milliseconds())
			require.Zero(t, c.block%time.Millisecond)
			require.LessOrEqual(t, c.block, (c.sessionTTL-c.beat)/2)
			require.GreaterOrEqual(t, c.timeout, MinTimeout)
			require.GreaterOrEqual(t, c.gap, 2*c.beat)
			require.GreaterOrEqual(t, c.sessionMargin, 2*c.wheel.Tick)
			require.Positive(t, c.retry)
			require.LessOrEqual(t, c.beat+2*c.timeout, c.sessionTTL-c.sessionMargin, "two attempts fit")
			require.NoError(t, c.onCluster())
		}
	})
}

func TestConsumerIDFromTheEnvironment(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, test := range []struct{ name, ip, want string }{
		{"orders-7", "10.0.0.7", "orders-7"},
		{"", "10.0.0.7", "10.0.0.7"},
		{"", "fd00::7", "fd00::7"},
		{"", "", tidyConsumerID(host)},
		{"my pod/ä{1}", "", "my-pod---1-"},
		{"redis-consumer-7", "", "id-redis-consumer-7"},
		{"redis consumer-7", "", "id-redis-consumer-7"},
		{strings.Repeat("x", 300), "", strings.Repeat("x", 200)},
		{"redis-consumer-" + strings.Repeat("x", 185), "", "id-redis-consumer-" + strings.Repeat("x", 182)},
		{"\xff\xfe", "", "--"},
	} {
		t.Run(test.want[:min(20, len(test.want))], func(t *testing.T) {
			t.Setenv("POD_NAME", test.name)
			t.Setenv("POD_IP", test.ip)
			c := resolved(t)
			require.Equal(t, test.want, c.consumerID)
			require.Equal(t, "mine", resolved(t, WithConsumerID("mine")).consumerID)
		})
	}
}

// Nothing in the environment prevents a start.
func TestConsumerIDFromTheEnvironmentIsAlwaysValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`redis-consumer-.*`)).Filter(func(s string) bool { return s != "" })
		require.NoError(t, cluster.ValidateConsumerID(tidyConsumerID(name.Draw(t, "name"))))
	})
}

func TestPublishOptions(t *testing.T) {
	at := time.UnixMilli(math.MaxInt32)
	var a api.Announcement
	WithNotBefore(at).configureAnnouncement(&a)
	require.Equal(t, at, a.NotBefore)

	var p publisherConfig
	WithPartitions(3).configurePublisher(&p)
	require.Equal(t, 3, p.partitions)
}

// The cause of a refusal stays visible to errors.As and errors.Is through the sentinel.
func TestInvalidWrapsItsCause(t *testing.T) {
	cause := errors.New("why")
	err := invalid("WithThing: %w", cause)
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.EqualError(t, err, "streamlease: invalid configuration: WithThing: why")
}
