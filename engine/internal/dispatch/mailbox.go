package dispatch

import (
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
)

// mailboxPhase is the state of a mailbox.
//
//	new --post--> ready --worker--> running --finished, more waits--> ready
//	                                   |
//	                                   +--finished, nothing waits--> closing --Idle returned--> new, or ready
//
// A mailbox in boxNew is in no list, and no goroutine works for it.
type mailboxPhase uint8

const (
	boxNew     mailboxPhase = iota // not in use
	boxReady                       // in Dispatcher.mu.ready
	boxRunning                     // in Dispatcher.mu.runs
	boxClosing                     // Idle is being called
)

// mailbox holds what is outstanding for one stream.
type mailbox struct {
	// Guarded by Dispatcher.mu.
	stream     string
	phase      mailboxPhase
	backlog    backlog
	started    time.Duration // of the current delivery, by Dispatcher.clock
	prev, next *mailbox      // neighbours in ready or runs

	// The current delivery. Written by the worker that took it, before Deliver; read and cleared by whoever
	// completes it.
	current  api.Notification
	panicked error // what Deliver panicked with; written by the worker

	// Written by the first call of done.
	err   error
	ended time.Duration

	// seq numbers the deliveries made from this mailbox, for whatever stream, so a late call of done cannot be mistaken for
	// that of another delivery. Written as current is.
	seq uint64
	// open is the seq of the delivery that lacks its call of done; 0: none does. Whoever sets it to 0 has made that call.
	open atomic.Uint64
	// parties is 2 while a delivery lacks both the return of Deliver and the call of done. Whoever brings it to 0 completes
	// the delivery; the other one must not touch the mailbox afterwards.
	parties atomic.Int32
}

// leave records that Deliver returned, or that done was called, and reports whether the other had happened before.
func (b *mailbox) leave() (last bool) { return b.parties.Add(-1) == 0 }

// backlog is a queue of notifications. The first one is stored in place, since most streams have only one.
type backlog struct {
	n     int
	first api.Notification
	rest  []api.Notification // rest[head:] follow first
	head  int
}

// keepBacklog is the capacity, in notifications, that a backlog may keep while its mailbox is in the pool of spares.
const keepBacklog = 4

func (q *backlog) len() int { return q.n }

func (q *backlog) push(n api.Notification) {
	q.n++
	if q.n == 1 {
		q.first = n
		return
	}
	if len(q.rest) == cap(q.rest) && q.head > len(q.rest)/2 {
		kept := copy(q.rest, q.rest[q.head:])
		clear(q.rest[kept:])
		q.rest, q.head = q.rest[:kept], 0
	}
	q.rest = append(q.rest, n)
}

// pop removes the oldest notification and returns it; there must be one.
func (q *backlog) pop() api.Notification {
	n := q.first
	q.n--
	if q.n == 0 {
		q.first = api.Notification{}
		return n
	}
	q.first = q.rest[q.head]
	q.rest[q.head] = api.Notification{}
	if q.head++; q.head == len(q.rest) {
		q.rest, q.head = q.rest[:0], 0
	}
	return n
}

// reset empties the backlog and frees capacity that few streams need.
func (q *backlog) reset() {
	rest := q.rest
	if cap(rest) > keepBacklog {
		rest = nil
	}
	clear(rest)
	*q = backlog{rest: rest[:0]}
}

// mailboxList is a queue of mailboxes from which any can be removed. A mailbox is in one at most.
type mailboxList struct {
	head, tail *mailbox
	n          int
}

func (l *mailboxList) push(b *mailbox) {
	b.prev, b.next = l.tail, nil
	if l.tail == nil {
		l.head = b
	} else {
		l.tail.next = b
	}
	l.tail = b
	l.n++
}

func (l *mailboxList) remove(b *mailbox) {
	if b.prev == nil {
		l.head = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.tail = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.prev, b.next = nil, nil
	l.n--
}
