package expiry

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

const (
	// queued is how many reports wait for the watcher's goroutine. More are dropped.
	queued = 256
	// lookInterval is how often subscriptions are compared with the servers there are, and how often each is pinged.
	lookInterval = 2 * time.Second
)

// Names of the channels of keyspace notifications by key.
const (
	keyspaceStart = "__keyspace@"
	channelEnd    = "__:"
)

// Subscription is what became of a subscription to one server.
type Subscription int

const (
	Made   Subscription = iota // what came before it is missing
	Failed                     // retried
	Lost                       // made again
)

// Config is what a watcher works with. All fields must be set.
type Config struct {
	// Layout names the keys of the service whose leases are watched.
	Layout *cluster.Layout

	// Nodes returns the servers that the client knows, by address. It is asked each time: clients are replaced now and then.
	Nodes func() map[string]rueidis.Client

	// Stale reports, once, that addresses may lead to other servers by now, so that every subscription must be made again.
	Stale func() bool

	// Set allows the watcher to add the flags that are missing to a server's [Setting].
	Set bool

	// Timeout is that of each command.
	Timeout time.Duration

	// Backoff is the delay after so many consecutive failures to subscribe.
	Backoff func(failures int) time.Duration
}

// Hooks are what a watcher calls. All must be set, and none may block.
type Hooks struct {
	// Expired is called on the watcher's goroutine with the stream of a lease that expired.
	Expired func(stream string)

	// Dropped is called where a connection is read, for a lease for which there was no room in the queue.
	Dropped func()

	// Subscription is called on a goroutine for each server. missed is set for a subscription that was made later than
	// the first ones, so that notifications may be missing.
	Subscription func(address string, what Subscription, missed bool)

	// Warn takes what an operator should know, each message once; err may be nil.
	Warn func(message string, err error, args ...any)
}

// Watcher reports expired leases of a service to its hooks, while Run runs.
type Watcher struct {
	cfg      Config
	hooks    Hooks
	prefixes map[string]int // partitions, by what lease keys begin with
	reports  chan string    // streams; filled by the connections
	warned   sync.Map       // messages that were passed to Warn

	// Of the goroutine of Run.
	listeners map[string]*listener // by address
	listening sync.WaitGroup       // listeners
	looked    bool                 // once
}

// New makes a watcher.
func New(c Config, h Hooks) *Watcher {
	w := &Watcher{
		cfg: c, hooks: h, prefixes: make(map[string]int), reports: make(chan string, queued), listeners: make(map[string]*listener),
	}
	for p := range c.Layout.Partitions() {
		w.prefixes[c.Layout.Keys(p).LeasePrefix()] = p
	}
	return w
}

// Run watches until ctx ends. It returns once all its goroutines have ended.
func (w *Watcher) Run(ctx context.Context) {
	defer w.listening.Wait()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	w.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(ctx)
		case stream := <-w.reports:
			w.hooks.Expired(stream)
		}
	}
}

// look starts a listener for each server that has none, and ends those of servers that are gone.
func (w *Watcher) look(ctx context.Context) {
	nodes := w.cfg.Nodes()
	stale := w.cfg.Stale()
	for address, l := range w.listeners {
		if stale || nodes[address] == nil {
			l.cancel()
			delete(w.listeners, address)
		}
	}
	for address := range nodes {
		if w.listeners[address] != nil {
			continue
		}
		l := &listener{w: w, address: address, late: w.looked}
		w.listeners[address] = l
		ctx, cancel := context.WithCancel(ctx)
		l.cancel = cancel
		w.listening.Go(func() { l.run(ctx) })
	}
	w.looked = true
}

// report takes what a server sends. It runs where the connection is read, and waits for nothing.
func (w *Watcher) report(m rueidis.PubSubMessage) {
	key := m.Message
	if strings.HasPrefix(m.Channel, keyspaceStart) {
		if m.Message != "expired" {
			return
		}
		_, key, _ = strings.Cut(m.Channel, channelEnd)
	}
	stream, ours := w.stream(key)
	if !ours {
		return
	}
	select {
	case w.reports <- stream:
	default:
		w.hooks.Dropped()
	}
}

// stream returns the stream that a lease key of the service belongs to; false for a key that the service would not make.
func (w *Watcher) stream(key string) (name string, ours bool) {
	const end = "}:lease:"
	i := strings.Index(key, end)
	if i < 0 {
		return "", false
	}
	i += len(end)
	p, ours := w.prefixes[key[:i]]
	name = key[i:]
	return name, ours && cluster.ValidateStream(name) == nil && utf8.ValidString(name) && w.cfg.Layout.Of(name) == p
}

// warnOnce passes a message to Warn the first time.
func (w *Watcher) warnOnce(message string, err error, args ...any) {
	if _, again := w.warned.LoadOrStore(message, true); !again {
		w.hooks.Warn(message, err, args...)
	}
}
