package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

const (
	// signalReads is how many partitions of one master have their signals read at a time, if WithPipeline allows that many calls in
	// flight.
	signalReads = 2

	// hastenSpread is how long it takes at most to ask for everything that is parked when signals may have been missed. Every process
	// misses them at the same time.
	hastenSpread = 5 * time.Second

	// recentSignals is how many signals are remembered of those that come while entries are being asked for. They are few: those
	// of one call's time.
	recentSignals = 256
)

// signalStore is what signals asks of Redis.
type signalStore interface {
	// Signals reads the signals after a position, count at most.
	Signals(ctx context.Context, partition int, position string, count int) (lease.SignalPage, error)
}

// signalParts are what signals works with. All are set before the first session is opened.
type signalParts struct {
	store     signalStore
	positions *lease.Signals
	table     *lease.Table
	ownership *ownership
	freed     func(stream string)                       // has a parked entry of a stream asked for at once
	hasten    func(partition int, within time.Duration) // has all that is parked asked for soon
	wished    func()                                    // called when operators wish something else than before
	missed    func(partition int)                       // called when signals of a partition may have been missed; any mutex may be held
}

// signals reads what is signalled and acts on it: the owner of a stream hears within a beat that it was announced again, what is parked is
// asked for as soon as its stream is free, and what producers send reaches the owner.
//
// Beats report that there is something to read after a position; nothing is read otherwise. All of it is hints. When some may have been
// missed, since the stream was trimmed or deleted, another server answers, its clock was set back, or more come than can be read, then what is parked is asked for
// within hastenSpread, owners hear of further announcements with their next renewals, which are due at once if the server
// changed, and a layer has to look at all that it has there. What producers sent is lost.
type signals struct {
	*env
	signalParts
	work  *workqueue.Queue
	parts []partitionSignals
}

// partitionSignals is the state of one partition.
type partitionSignals struct {
	mu     sync.Mutex
	missed bool // signals were missed, and the next position is one after that
	read   int  // signals read since the end was last reached
	// While entries are being asked for, what was read meanwhile is in recent, and recentFrom counts what came before that.
	asking     int
	recent     []*recentSignal
	recentFrom int
}

// recentSignal is a signal that was acted on while entries were being asked for.
type recentSignal struct {
	lease.Signal
	to []*lease.Lease // whose owners got it, by item; nil: nobody, so far
}

func newSignals(ctx context.Context, e *env, partitions int, lane func(partition int) int, parts signalParts) *signals {
	g := &signals{env: e, signalParts: parts, parts: make([]partitionSignals, partitions)}
	g.work = workqueue.New(ctx, partitions, min(e.cfg.pipeline.MaxInFlight, signalReads), lane, g.run)
	return g
}

// opened takes in the answer to the call that opened a session.
func (g *signals) opened(partition int, b lease.Beat) {
	p := &g.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	g.positions.SetPosition(partition, b.SignalsFrom)
}

// onBeat takes in what a beat says about signals, without waiting for anything. changed means that another server answers than before:
// the position says nothing about its signals.
func (g *signals) onBeat(partition int, b lease.Beat, changed bool) {
	p := &g.parts[partition]
	switch {
	case b.SignalsErr != nil:
		g.positions.Refuse(partition, b.SignalsErr)
	case changed:
		p.mu.Lock()
		g.startOverLocked(partition, p)
		p.mu.Unlock()
	case b.SignalsFrom != "":
		p.mu.Lock()
		missed := false
		if g.positions.Position(partition) == "" {
			// Only now, so that nothing is asked for before a position from which all that follows is read.
			g.positions.SetPosition(partition, b.SignalsFrom)
			missed, p.missed = p.missed, false
		} else if g.positions.SetBack(partition, b.SignalsFrom) {
			g.metrics.Inc(metrics.SignalGaps)
			missed = true
		}
		p.mu.Unlock()
		if missed {
			g.lookAtAll(partition)
		}
	case b.Signal != "":
		g.work.Add(partition)
	}
}

// startOverLocked has the next beat say from where on signals are read.
func (g *signals) startOverLocked(partition int, p *partitionSignals) {
	g.positions.SetPosition(partition, "")
	g.metrics.Inc(metrics.SignalGaps)
	p.missed, p.read = true, 0
}

// lookAtAll has everything looked at of which signals would have told, since some may have been missed.
func (g *signals) lookAtAll(partition int) {
	g.hasten(partition, hastenSpread)
	g.wished()
	g.missed(partition)
}

// run reads a page of a partition's signals, and returns when to read the next.
func (g *signals) run(ctx context.Context, partition int) time.Duration {
	from := g.positions.Position(partition)
	if from == "" || g.positions.LeftOut(partition) {
		return workqueue.Idle
	}
	page, err := g.store.Signals(ctx, partition, from, lease.MaxSignalPage)
	if err != nil {
		g.failed(ctx, partition, err)
		return workqueue.Idle // the next beat reports it again
	}
	g.metrics.Inc(metrics.SignalReads.With(metrics.SignalReadOK))
	for i := range page.Signals {
		g.take(partition, &page.Signals[i])
	}
	return g.advance(partition, from, &page)
}

func (g *signals) failed(ctx context.Context, partition int, err error) {
	if ctx.Err() != nil {
		return
	}
	g.metrics.Inc(metrics.SignalReads.With(metrics.SignalReadFailed))
	if _, refused := lease.Refusal(err); refused && !lease.Retryable(err) {
		g.positions.Refuse(partition, err)
		return
	}
	g.log.Warn("reading signals failed", 1, "partition", partition, "err", lease.Explain(err))
}

// advance moves the position past a page, and returns when to read the next.
func (g *signals) advance(partition int, from string, page *lease.SignalPage) time.Duration {
	p := &g.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.positions.Position(partition) != from {
		return workqueue.Idle // another server answers meanwhile
	}
	p.read += len(page.Signals)
	switch {
	case page.Gone && len(page.Signals) == 0, p.read >= lease.SignalsKept:
		// There is nothing to go on from; or they come faster than they can be read, or more were there than are kept.
		g.startOverLocked(partition, p)
		return workqueue.Idle
	case page.Gone:
		g.metrics.Inc(metrics.SignalGaps)
		defer g.lookAtAll(partition)
	}
	if n := len(page.Signals); n > 0 {
		g.positions.SetPosition(partition, page.Signals[n-1].ID)
	}
	if page.More {
		return 0
	}
	p.read = 0
	return workqueue.Idle
}

// take acts on a signal, and remembers it for what is being asked for now.
func (g *signals) take(partition int, x *lease.Signal) {
	g.metrics.Signal(x.Kind)
	p := &g.parts[partition]
	r := &recentSignal{Signal: *x}
	p.mu.Lock()
	if p.asking > 0 {
		if len(p.recent) == recentSignals {
			p.recent = slices.Delete(p.recent, 0, recentSignals/2)
			p.recentFrom += recentSignals / 2
		}
		p.recent = append(p.recent, r)
	}
	p.mu.Unlock()
	g.apply(p, r, nil)
}

// apply acts on a signal, as far as it concerns some streams; nil: all. What concerns no lease that is held here, under this very token, and
// nothing that is parked here has no effect.
func (g *signals) apply(p *partitionSignals, r *recentSignal, only map[string]bool) {
	if r.Kind == lease.SignalWish {
		g.wished()
		return
	}
	for i, x := range r.Items {
		if only != nil && !only[x.Stream] {
			continue
		}
		switch r.Kind {
		case lease.SignalAnnounced:
			if l := g.table.Get(x.Stream); l != nil && l.Token() == x.Token {
				g.ownership.supersede(l)
			}
		case lease.SignalFreed:
			g.freed(x.Stream)
		case lease.SignalUser:
			if l := g.table.Get(x.Stream); l != nil && p.first(r, i, l) {
				g.ownership.signal(l, r.Payload)
			}
		}
	}
}

// first reports whether the owner of a lease has not got the signal of an item yet, and notes that it gets it.
func (p *partitionSignals) first(r *recentSignal, item int, l *lease.Lease) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.to == nil {
		r.to = make([]*lease.Lease, len(r.Items))
	}
	if r.to[item] == l {
		return false
	}
	r.to[item] = l
	return true
}

// watch must be called before entries are asked for, and settled with its result when each has its place.
func (g *signals) watch(partition int) (since int) {
	p := &g.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking++
	return p.recentFrom + len(p.recent)
}

// settled acts on what was signalled while entries were being asked for. What was signalled before that the script has seen; what comes from
// now on finds their leases in the table, and what is parked in the waitlist. In between it found neither.
func (g *signals) settled(partition, since int, entries []*lease.Entry) {
	p := &g.parts[partition]
	p.mu.Lock()
	forgotten := since < p.recentFrom
	recent := slices.Clone(p.recent[max(since-p.recentFrom, 0):])
	if p.asking--; p.asking == 0 {
		p.recentFrom += len(p.recent)
		p.recent = nil
	}
	p.mu.Unlock()
	if len(recent) == 0 && !forgotten {
		return
	}
	only := make(map[string]bool, len(entries))
	for _, x := range entries {
		only[x.Stream] = true
		if forgotten {
			g.freed(x.Stream) // it may have been
		}
	}
	for _, r := range recent {
		g.apply(p, r, only)
	}
}
