package engine

import (
	"container/heap"
	"context"
	"time"

	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// run asks for the entries that are due in one partition.
func (l *lot) run(ctx context.Context, partition int) time.Duration {
	room := 0
	if l.e.pressure.of(partition).intake != IntakeStopped {
		room = l.e.reserve(l.e.cfg.pipeline.MaxMoves())
	}
	defer l.e.unreserve(room)
	rows, entries, next := l.takeDue(partition, room)
	if len(rows) == 0 {
		return next
	}
	s := rows[0].session
	sent := l.e.clock.Now()
	takes, ok := l.e.acquireOnce(ctx, l.e.partitions[partition], s, entries)
	now := l.e.clock.Now()
	alone := l.learn(partition, len(rows), ok, time.Duration(now-sent))
	if !ok {
		l.again(partition, rows, now, alone)
		return settleAgain
	}
	l.mu.Lock()
	l.mu.after[partition] = 0
	l.mu.Unlock()
	for i, r := range rows {
		l.settle(partition, r, entries[i], takes[i], now)
	}
	return 0
}

// takeDue takes out up to a batch of rows that are due, with the entry of each that is to be asked for; or says how
// long there is nothing to ask for.
func (l *lot) takeDue(partition, room int) (rows []*row, entries []*lease.Entry, next time.Duration) {
	now := l.e.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if early := l.mu.after[partition] - now; early > 0 {
		return nil, nil, time.Duration(early) // woken by another row while Redis does not answer
	}
	h := &l.mu.due[partition]
	weight := 0
	for len(*h) > 0 && (*h)[0].due <= now && len(rows) < l.pages[partition].Size() {
		more := pollWeight((*h)[0].entries[0])
		if len(rows) > 0 && weight+more > lease.MaxCallWeight {
			break
		}
		r := heap.Pop(h).(*row)
		switch {
		case r.session.Remaining() == 0:
			l.removeLocked(r) // it goes back with its session
		case l.e.table.Get(r.stream) != nil:
			r.delay, r.holder, r.since = 0, "", now
			l.queueLocked(partition, r, now+int64(parkMost))
		case l.e.dispatcher.Busy(r.stream):
			l.behindHandlerLocked(partition, r, now)
		case len(rows) >= room:
			// No room for another stream: somebody else may have it, or this process later.
			l.giveBackLocked(r, lease.ToLater, parkChanged)
		default:
			r.due = now
			rows, entries = append(rows, r), append(entries, r.entries[0])
			weight += more
		}
	}
	if len(*h) == 0 {
		return rows, entries, workqueue.Idle
	}
	return rows, entries, max(time.Duration((*h)[0].due-now), time.Millisecond)
}

// pollWeight is what an entry weighs in a call that asks for it again. Before Redis 7 the server reads it for that.
func pollWeight(x *lease.Entry) int { return acquireWeight(&x) + x.Size }

// learn learns from how long it took to ask for n entries how many to ask for next: what a call costs the server may be more
// than what is known of the entries says. It reports whether one alone took too long.
func (l *lot) learn(partition, n int, ok bool, took time.Duration) (alone bool) {
	size, limit := &l.pages[partition], l.e.timeout()
	switch {
	case took > limit/2:
		return !size.Failed(n)
	case ok && took < limit/4 && n > size.Size()/2:
		size.Succeeded()
	}
	return false
}

// again puts rows back whose first entries had no answer. One that was alone makes way for others, for longer each time.
func (l *lot) again(partition int, rows []*row, now int64, alone bool) {
	at := now + int64(settleAgain)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.after[partition] = at
	for _, r := range rows {
		if l.mu.rows[r.stream] != r {
			continue
		}
		due := at
		if alone {
			r.delay = min(max(2*r.delay, parkFirst), parkMost)
			due = max(at, now+int64(min(r.delay, parkChanged))) // no longer: its stream may be ours by now
		}
		l.queueLocked(partition, r, due)
	}
}
