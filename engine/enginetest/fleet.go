package enginetest

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Fleet is a service under test: a server in memory, the processes that share its streams, and a producer. Its methods fail the test
// where something goes wrong that the test did not ask for, so they return no errors; they are for the goroutine of the test.
type Fleet struct {
	t         testing.TB
	service   string
	shared    []engine.SharedOption
	server    *memory.Server
	client    rueidis.Client
	publisher *engine.Publisher
	sender    *feed.Sender
	table     *schedule.Table
	inspector *scan.Inspector
	ledger    *ledger
	processes []*Process

	// Patience is how long assertions wait for what they assert. Default: 5 min, which is longer than any take-over with default
	// settings. Outside a bubble, where that is real time, 30 s.
	Patience time.Duration
}

// New starts a server in memory for a service, with its producer. The options are those that engines and publishers share:
// WithPartitions, WithLimits and WithLogger; by default the log, from warnings on, is the log of the test. Everything ends with
// the test: processes that are still there are drained, and then the test fails if a drain does.
//
// Call it inside a bubble of testing/synctest: the server belongs to the bubble.
func New(t testing.TB, service string, opts ...engine.SharedOption) *Fleet {
	t.Helper()
	return newFleet(t, memory.New(), service, opts...)
}

func newFleet(t testing.TB, server *memory.Server, service string, opts ...engine.SharedOption) *Fleet {
	t.Helper()
	f := &Fleet{
		t: t, service: service, server: server,
		shared: opts,
	}
	t.Cleanup(f.end)
	var err error
	f.client, err = rueidis.NewClient(f.tuned(f.server.Link()))
	f.check("connecting to the server in memory", err)
	var publishing []engine.PublisherOption
	for _, o := range f.shared {
		publishing = append(publishing, o)
	}
	// The first engine or publisher writes down how many partitions there are; the log of this one would warn that there is no engine.
	publishing = append(publishing, engine.WithLogger(slog.New(slog.DiscardHandler)))
	f.publisher, err = engine.NewPublisher(f.client, service, publishing...)
	f.check("making a publisher", err)
	f.sender = feed.NewSender(f.publisher)
	layout, err := cluster.NewLayout(service, f.publisher.Partitions())
	f.check("naming the keys", err)
	f.load()
	f.ledger = newLedger(layout)
	f.server.Observe(f.ledger.observe)
	f.inspector, err = scan.NewInspector(f.client, service, scan.InspectorConfig{Partitions: f.publisher.Partitions()})
	f.check("making an inspector", err)
	f.table, err = schedule.NewTable(f.client, service, publishing...)
	f.check("making a table of schedules", err)
	f.Patience = 30 * time.Second
	if inBubble() {
		f.Patience = 5 * time.Minute
	}
	return f
}

// log returns the log of the test.
func (f *Fleet) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(f.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// load has the server know the scripts, as one does that has served for a while: a call whose answer is lost must have run, not have been
// refused for want of the script.
func (f *Fleet) load() {
	f.t.Helper()
	for _, s := range lease.Scripts() {
		f.check("loading scripts", f.client.Do(f.context(), f.client.B().ScriptLoad().Script(s.Body()).Build()).Error())
	}
}

// inBubble reports whether time is virtual: a bubble begins in the year 2000.
func inBubble() bool { return time.Now().Year() < 2020 }

func (f *Fleet) end() {
	var wg sync.WaitGroup
	for _, p := range f.processes {
		wg.Go(p.end)
	}
	wg.Wait()
	if f.client != nil {
		f.client.Close()
	}
	f.server.Close()
}

// check ends the test if err is not nil.
func (f *Fleet) check(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// tuned returns the options of a client that uses a link.
func (f *Fleet) tuned(l *memory.Link) rueidis.ClientOption {
	opt, err := engine.ClientOption(optionOf(l))
	f.check("options of a client", err)
	return opt
}

func optionOf(l *memory.Link) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{"memory:6379"}, ForceSingleClient: true, DisableCache: true, DialCtxFn: l.Dial,
	}
}

// Client is a client of the test, which no process uses and nothing cuts: for what a producer in another language sends, and for
// looking at what is stored.
func (f *Fleet) Client() rueidis.Client { return f.client }

// Inspector shows what Redis knows of the service, and has the actions of operators.
func (f *Fleet) Inspector() *scan.Inspector { return f.inspector }

// Table is the table of the schedules of the service.
func (f *Fleet) Table() *schedule.Table { return f.table }

// Advance lets time pass. In a bubble that is virtual.
func (f *Fleet) Advance(d time.Duration) { time.Sleep(d) }

// Publish announces a stream, and returns the ID of the entry. info is what Lease.Info returns to the owner; nil: none.
func (f *Fleet) Publish(stream string, info any, opts ...engine.PublishOption) (entry string) {
	f.t.Helper()
	f.ledger.announcing(stream, true)
	entry, err := f.publisher.Publish(f.t.Context(), stream, info, opts...)
	f.check("announcing "+stream, err)
	return entry
}

// Send adds a message to a stream, announces the stream if nobody owns it, and returns the ID of the message. The fields are pairs of
// names and values.
func (f *Fleet) Send(stream string, fields ...string) (id string) {
	f.t.Helper()
	if len(fields) == 0 || len(fields)%2 != 0 {
		f.t.Fatalf("a message for %s has %d strings: give pairs of names and values", stream, len(fields))
	}
	var message []feed.Field
	for i := 0; i < len(fields); i += 2 {
		message = append(message, feed.Field{Name: fields[i], Value: fields[i+1]})
	}
	f.ledger.announcing(stream, false)
	id, err := f.sender.Send(f.t.Context(), stream, message...)
	f.check("sending to "+stream, err)
	f.ledger.sent(stream, id)
	return id
}

// Signal sends a signal to the owner of a stream.
func (f *Fleet) Signal(stream string, payload []byte) {
	f.t.Helper()
	f.check("signalling to "+stream, f.publisher.Signal(f.t.Context(), stream, payload))
}

// Put makes or edits schedules.
func (f *Fleet) Put(specs ...schedule.Spec) {
	f.t.Helper()
	for _, s := range specs {
		f.ledger.announcing(s.Name, false)
	}
	_, err := f.table.Put(f.t.Context(), specs...)
	f.check("putting schedules", err)
}

// context returns the context of calls that the fleet makes for the test, also while the test ends.
func (f *Fleet) context() context.Context { return context.WithoutCancel(f.t.Context()) }

// nameOf returns the name of the process with that consumer, or that of the consumer if it is somebody else.
func (f *Fleet) nameOf(consumer string) string {
	for _, p := range f.processes {
		if e := p.Engine(); e != nil && e.ID() == consumer {
			return p.name
		}
	}
	return cmp.Or(consumer, "nobody")
}
