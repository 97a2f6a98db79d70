package feedtest

import (
	"context"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// lane reads streams of a store as a reading.Reader reads those of a master, on one goroutine. It keeps no budget.
type lane struct {
	store *store
	kick  chan struct{}
	ends  chan struct{}
	done  chan struct{}

	mu       sync.Mutex
	byName   map[string]*handle
	queue    []*handle
	released int
}

func newLane(s *store) *lane {
	l := &lane{store: s, kick: make(chan struct{}, 1), ends: make(chan struct{}), done: make(chan struct{}), byName: make(map[string]*handle)}
	go l.run()
	return l
}

// handle is a stream in one of these states, and what has happened to it.
type handle struct {
	lane   *lane
	source reading.Source

	queued, reading, held, removed bool

	rung  bool // since the read began
	woken bool // while it was being read
	now   bool // and is to be read at once
	look  bool // a read that brings nothing is followed by a look
	timer *time.Timer
}

func (l *lane) stop() {
	close(l.ends)
	<-l.done
}

func (l *lane) run() {
	defer close(l.done)
	for {
		h := l.take()
		if h == nil {
			select {
			case <-l.kick:
				continue
			case <-l.ends:
				return
			}
		}
		l.read(h)
	}
}

func (l *lane) take() *handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		h := l.queue[0]
		l.queue = l.queue[1:]
		if h.queued = false; !h.removed {
			h.reading, h.rung, h.woken, h.now = true, false, false, false
			return h
		}
	}
	return nil
}

func (l *lane) read(h *handle) {
	then := reading.Hold
	if after, count, ok := h.source.Next(); ok {
		messages, bytes, info := l.store.read(h.source.Stream(), after, count)
		r := reading.Result{After: after, Messages: messages, Full: len(messages) == count, Bytes: bytes}
		if len(messages) == 0 && h.look {
			r.Info = &info
		}
		then = h.source.Read(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.reading, h.look = false, false
	switch {
	case h.removed:
	case then == reading.Again:
		l.queueLocked(h)
	case then == reading.Rest:
		if h.rung || h.now {
			l.queueLocked(h)
		}
	case then == reading.Hold:
		h.held = true
		if h.woken {
			l.wakeLocked(h, h.now)
		}
	default:
		h.timer = time.AfterFunc(time.Duration(then), func() { h.Wake(true) })
	}
}

func (l *lane) queueLocked(h *handle) {
	if h.queued || h.reading || h.removed {
		return
	}
	h.queued, h.held = true, false
	l.queue = append(l.queue, h)
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *lane) wakeLocked(h *handle, now bool) {
	if h.reading {
		h.woken, h.now = true, h.now || now
		return
	}
	if h.held {
		h.held = false
		now = now || h.rung
	}
	if now {
		l.queueLocked(h)
	}
}

// ring is called when a stream was written to.
func (l *lane) ring(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.byName[stream]
	if h == nil {
		return
	}
	h.rung, h.look = true, true
	if !h.held {
		l.queueLocked(h)
	}
}

// Add has a stream read.
func (l *lane) Add(s reading.Source) backing.Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &handle{lane: l, source: s, look: true}
	l.byName[s.Stream()] = h
	l.queueLocked(h)
	return h
}

// Release counts what is given back.
func (l *lane) Release(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released += bytes
}

// Topology has all streams read again, and looked at.
func (l *lane) Topology() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.byName {
		h.rung, h.look = true, true
		if !h.held {
			l.queueLocked(h)
		}
	}
}

// LastID returns the last ID of a stream.
func (l *lane) LastID(_ context.Context, stream string) (string, error) {
	_, _, info := l.store.read(stream, "0-0", 0)
	return info.Last, nil
}

// Wake implements backing.Handle.
func (h *handle) Wake(now bool) {
	h.lane.mu.Lock()
	defer h.lane.mu.Unlock()
	h.lane.wakeLocked(h, now)
}

// Remove implements backing.Handle.
func (h *handle) Remove() {
	h.lane.mu.Lock()
	defer h.lane.mu.Unlock()
	h.removed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	if name := h.source.Stream(); h.lane.byName[name] == h {
		delete(h.lane.byName, name)
	}
}
