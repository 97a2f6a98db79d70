package notice

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// lookEvery is how often the list of nodes is fetched.
const lookEvery = 5 * time.Second

// Hooks are called with what a Watcher finds out, on its goroutine, in order. They must return at once. Nil hooks are skipped.
type Hooks struct {
	Noticed func(Arrival) // a notice arrived, which may be already known; nothing was done about it yet
	Changed func(Change)  // a window was opened, or has ended
	Handled func(Arrival) // Changed was called with all that the notice has changed
	Node    func(Node)    // the state of a node has changed
	Moved   func(Handoff) // a node that moves was found at its new endpoint, or was not
}

// Arrival is a notice as a node has sent it.
type Arrival struct {
	Notice
	Node      string // its address
	Effect    Effect // for Handled; otherwise 0
	Restarted bool   // for Handled: its number shows that numbers have begun again
}

// Watcher listens to the nodes of a service and reports what they announce. NewWatcher makes it and Run runs it; its other
// methods may be called at any time from any goroutine.
type Watcher struct {
	opt    rueidis.ClientOption
	cfg    Config
	nodes  func() []string
	hooks  Hooks
	events chan event
	poke   chan struct{}

	windows atomic.Pointer[[]Window]
	relaxed atomic.Pointer[time.Time] // until when answers may be slow after the last window; nil: there was none

	mu struct {
		sync.Mutex
		nodes map[string]*running
	}
}

// running is a node that the watcher listens to.
type running struct {
	Node
	node *node
	stop context.CancelFunc
}

// event is what a node's goroutine sends to that of Run.
type event struct {
	node    string
	since   time.Time
	notice  Notice
	state   *Node    // instead of a notice
	handoff *Handoff // likewise
}

// NewWatcher returns a watcher of the nodes whose addresses nodes returns, dialled with opt as the client library does. cfg
// must be valid, with its defaults filled in.
func NewWatcher(opt rueidis.ClientOption, cfg Config, nodes func() []string, hooks Hooks) *Watcher {
	w := &Watcher{opt: opt, cfg: cfg, nodes: nodes, hooks: hooks, events: make(chan event), poke: make(chan struct{}, 1)}
	w.mu.nodes = make(map[string]*running)
	w.windows.Store(new([]Window))
	return w
}

// Run listens until ctx ends. It must be called once, and returns when all its goroutines have ended: one for each node,
// and another for each node that announces.
func (w *Watcher) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tracker := NewTracker(w.cfg.MaxWindow)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	w.follow(ctx, &group)
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			w.follow(ctx, &group)
			continue
		case <-w.poke:
			w.follow(ctx, &group)
			continue
		case e := <-w.events:
			switch {
			case e.state != nil:
				call(w.hooks.Node, *e.state)
				continue
			case e.handoff != nil:
				call(w.hooks.Moved, *e.handoff)
				continue
			}
			w.arrived(tracker, &e)
		case <-wake.C:
			w.publish(tracker, tracker.Expire(time.Now()))
		}
		w.sleep(tracker, wake)
	}
}

// arrived processes a notice.
func (w *Watcher) arrived(t *Tracker, e *event) {
	a := Arrival{Notice: e.notice, Node: e.node}
	call(w.hooks.Noticed, a)
	before := t.Generation()
	var changes []Change
	changes, a.Effect = t.Take(time.Now(), e.node, e.since, e.notice)
	a.Restarted = t.Generation() != before
	w.publish(t, changes)
	call(w.hooks.Handled, a)
}

func call[T any](f func(T), x T) {
	if f != nil {
		f(x)
	}
}

// publish stores the open windows and reports what has changed.
func (w *Watcher) publish(t *Tracker, changes []Change) {
	now := time.Now()
	open := t.Windows()
	for _, c := range changes {
		if !c.Open {
			until := now.Add(w.cfg.RelaxedFor)
			w.relaxed.Store(&until)
		}
	}
	w.windows.Store(&open)
	for _, c := range changes {
		call(w.hooks.Changed, c)
	}
}

// sleep sets the timer for the next window that ends by time.
func (w *Watcher) sleep(t *Tracker, wake *time.Timer) {
	if at, open := t.Next(); open {
		wake.Reset(time.Until(at))
	} else {
		wake.Stop()
	}
}

// follow starts listening to new nodes and stops listening to those that are gone.
func (w *Watcher) follow(ctx context.Context, group *sync.WaitGroup) {
	want := w.nodes()
	w.mu.Lock()
	defer w.mu.Unlock()
	for address, r := range w.mu.nodes {
		if !slices.Contains(want, address) {
			r.stop()
			delete(w.mu.nodes, address)
		}
	}
	for _, address := range want {
		if w.mu.nodes[address] != nil {
			continue
		}
		n := &node{w: w, address: address, again: make(chan struct{}, 1)}
		ctx, stop := context.WithCancel(ctx)
		w.mu.nodes[address] = &running{Node: Node{Address: address}, node: n, stop: stop}
		group.Go(func() { n.loop(ctx) })
	}
}

// take sends a notice to the goroutine of Run. The node's ctx ends with that of Run, so this never waits forever.
func (w *Watcher) take(ctx context.Context, node string, since time.Time, n Notice) {
	select {
	case w.events <- event{node: node, since: since, notice: n}:
	case <-ctx.Done():
	}
}

// state records the state of a node, and reports it if it is new.
func (w *Watcher) state(ctx context.Context, address string, s State, err error) {
	w.mu.Lock()
	r := w.mu.nodes[address]
	news := r != nil && (r.State != s || r.Err == nil != (err == nil))
	if r != nil {
		r.State, r.Err = s, err
	}
	w.mu.Unlock()
	if !news {
		return
	}
	select {
	case w.events <- event{state: &Node{Address: address, State: s, Err: err}}:
	case <-ctx.Done():
	}
}

// Look fetches the list of nodes now and checks again the nodes that do not announce: call it when servers have changed. A
// node that is still the same server is not asked again.
func (w *Watcher) Look() {
	w.mu.Lock()
	for _, r := range w.mu.nodes {
		select {
		case r.node.again <- struct{}{}:
		default:
		}
	}
	w.mu.Unlock()
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Nodes returns what is known of each node, ordered by address.
func (w *Watcher) Nodes() []Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	var nodes []Node
	for _, r := range w.mu.nodes {
		nodes = append(nodes, r.Node)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Address, b.Address) })
	return nodes
}

// Length returns the length of the longest window that is open for a slot; 0 if there is none. It takes no lock.
func (w *Watcher) Length(slot uint16) (longest time.Duration) {
	open := *w.windows.Load()
	for i := range open {
		if open[i].Covers(slot) {
			longest = max(longest, open[i].Length)
		}
	}
	return longest
}

// Windows returns a copy of the open windows.
func (w *Watcher) Windows() []Window { return slices.Clone(*w.windows.Load()) }

// Relaxed reports whether answers may be slow: a window is open, or was until a moment ago. It takes no lock.
func (w *Watcher) Relaxed() bool {
	if len(*w.windows.Load()) > 0 {
		return true
	}
	until := w.relaxed.Load()
	return until != nil && time.Now().Before(*until)
}

func (w *Watcher) random() float64 { return rand.Float64() }
