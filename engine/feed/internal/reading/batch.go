package reading

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// batch is one pipeline: what is read of several streams of a lane.
type batch struct {
	lane   *lane
	client rueidis.Client
	epoch  uint64
	grown  int // failures of the lane in a row, which make the timeout longer

	taken    []turn // whose turn it is
	reads    []read // what is asked for, in the order of the commands
	quiet    []read // of these, what shares commands, while it is being collected
	commands []rueidis.Completed
	widths   []int // how many reads each of the commands has
	reserved int64 // in the budget
}

// read is what is asked of one stream.
type read struct {
	h     *stream
	after string
	count int
	xread bool
}

// read is one of the goroutines that read for a lane.
func (r *Reader) read(l *lane) {
	b := &batch{lane: l}
	for r.take(b) {
		if r.ask(b); len(b.reads) > 0 {
			r.send(b)
		}
		r.done(b)
	}
}

// take waits until a lane has something to read, and takes it. It reports whether to go on.
func (r *Reader) take(b *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := b.lane
	for {
		if !r.running || l.ended {
			return false
		}
		if r.ctx.Err() == nil && r.client != nil && !r.starved && l.ready(r.now()) {
			b.taken = r.roster.take(l, r.cfg.MaxStreams, b.taken[:0])
			if len(b.taken) > 0 {
				break
			}
			continue
		}
		l.work.Wait()
	}
	l.batches++
	b.client, b.epoch, b.grown = r.client, r.roster.epoch, l.failures
	if len(b.taken) == r.cfg.MaxStreams {
		l.work.Signal() // there may be more for the others
	}
	return true
}

// ask asks the sources what to read, within the budget. What finds no room goes back to the front of the queue.
func (r *Reader) ask(b *batch) {
	b.reads, b.quiet, b.commands, b.widths, b.reserved = b.reads[:0], b.quiet[:0], b.commands[:0], b.widths[:0], 0
	share := r.budget.share()
	left := share
	for i, t := range b.taken {
		h := t.h
		if h.removed.Load() {
			continue
		}
		if share == 0 {
			r.untake(b.lane, b.taken[i:])
			break
		}
		after, count, ok := h.source.Next()
		if !ok {
			r.postpone(h)
			continue
		}
		if h.mean == 0 {
			count = 1 // nothing is known of its messages: a hundred could be of any size
		}
		n, need := plan(left, share, len(b.taken), r.meanOf(h), max(count, 1), t.more, len(b.reads)+len(b.quiet) == 0)
		if n == 0 {
			r.untake(b.lane, b.taken[i:])
			break
		}
		left -= need
		b.reserved += need
		if after == "" {
			after = "0-0"
		}
		q := read{h: h, after: after, count: n, xread: !t.rung && !t.more || after == lastID}
		if q.xread && !t.alone && r.shares() {
			b.quiet = append(b.quiet, q)
		} else {
			b.add(q)
		}
	}
	b.addQuiet()
	r.budget.add(b.reserved - share)
}

// meanOf is what one message of a stream is expected to take. Only its reader changes stream.mean.
func (r *Reader) meanOf(h *stream) int64 {
	if h.mean > 0 {
		return int64(h.mean)
	}
	if mean := r.mean.Load(); mean > 0 {
		return mean
	}
	return guess
}

// lastID is the greatest there can be; XRANGE refuses to begin after it.
const lastID = "18446744073709551615-18446744073709551615"

// add adds the command for one stream. XREAD of a stream without anything new costs a server less than XRANGE does (an absent or
// quiet stream is answered from its last ID), and is what most reads are when nothing rang. XRANGE is answered by an array, where
// XREAD's map costs the client 700 bytes a read. Neither is marked read-only, so no client sends it to a replica, or repeats
// it without being asked.
func (b *batch) add(q read) {
	if q.xread {
		b.addXRead([]read{q})
		return
	}
	b.reads, b.widths = append(b.reads, q), append(b.widths, 1)
	b.commands = append(b.commands,
		b.client.B().Arbitrary("XRANGE").Keys(q.h.source.Stream()).Args("("+q.after, "+", "COUNT", strconv.Itoa(q.count)).Build())
}

// send sends the pipeline and takes in the answers.
func (r *Reader) send(b *batch) {
	r.count(Batches, 1)
	r.count(Reads, len(b.reads))
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout<<min(b.grown, 4))
	answers := b.client.DoMulti(ctx, b.commands...)
	cancel()
	tally := &tally{}
	reads := b.reads
	for i, answer := range answers {
		if answer.NonRedisError() != nil {
			b.commands = nil // the client may write them yet: what it gave up waiting for is still in its queue
		}
		some := reads[:b.widths[i]]
		reads = reads[len(some):]
		if len(some) > 1 {
			r.takeInAll(b, some, answer, tally)
			continue
		}
		page, bytes, err := parsePage(answer, some[0].xread)
		r.takeIn(b, some[0], page, bytes, err, tally)
	}
	r.count(EmptyReads, tally.empty)
	r.count(Messages, tally.messages)
	r.count(Bytes, tally.bytes)
	r.judge(b.lane, tally)
}

// tally is what became of a pipeline.
type tally struct {
	empty, messages, bytes int
	reached                int   // answers of the server
	unreached              error // the last error that says that it was not reached, or cannot answer anybody
}

// takeIn passes what was read of one stream to its source.
func (r *Reader) takeIn(b *batch, q read, page []Message, bytes int, err error, tally *tally) {
	switch {
	case err == nil:
		tally.reached++
	case Permanent(err):
		tally.reached++
		r.tell(q.h, Result{After: q.after, Err: err}, b.epoch)
		return
	case unreached(err):
		tally.unreached = err
		r.again(q.h, true)
		r.noteRefusal(b.client, err)
		return
	default:
		tally.reached++
		r.again(q.h, false)
		return
	}
	if len(page) == 0 {
		tally.empty++
	}
	tally.messages += len(page)
	tally.bytes += bytes
	full := len(page) >= q.count
	r.learn(q.h, len(page), bytes)
	if r.arrived(q, len(page), full, b.epoch) {
		return // to be looked at
	}
	r.tell(q.h, Result{After: q.after, Messages: page, Full: full, Bytes: bytes}, b.epoch)
}

// learn notes how large messages are.
func (r *Reader) learn(h *stream, n, bytes int) {
	if n == 0 {
		return
	}
	mean := int64(bytes / n)
	r.mean.Store(smooth(r.mean.Load(), mean))
	h.mean = uint32(min(smooth(int64(h.mean), mean), 1<<32-1))
}

// smooth is a mean that follows quickly upwards, since that is what memory has to be reserved for, and slowly downwards.
func smooth(before, now int64) int64 {
	if now >= before {
		return (before + 3*now + 3) / 4
	}
	return max((3*before+now)/4, 1)
}

// tell calls a source with what was read, and does what it says.
func (r *Reader) tell(h *stream, result Result, epoch uint64) {
	if h.removed.Load() {
		return
	}
	if result.Bytes > 0 {
		r.budget.add(int64(result.Bytes))
	}
	then := h.source.Read(result)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.settle(h, then, epoch, r.now())
	r.hasten(r.roster.waiting.next())
}

func (r *Reader) arrived(q read, messages int, full bool, epoch uint64) (glanced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.h.state == gone || !r.roster.arrived(q.h, messages, full, epoch) {
		return false
	}
	q.h.lane.looks.push(glance{q.h, q.after, epoch})
	q.h.lane.glare.Signal()
	return true
}

func (r *Reader) postpone(h *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.postpone(h, r.now())
}

func (r *Reader) again(h *stream, unreached bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roster.failed(h, unreached, r.now())
	r.hasten(r.roster.waiting.next())
}

// untake puts streams back that were taken from a lane, in their order.
func (r *Reader) untake(l *lane, taken []turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(taken) - 1; i >= 0; i-- {
		r.roster.untake(taken[i].h, l)
	}
}

// judge notes whether a master answers. If it does not, its lane pauses, and then one pipeline at a time tries.
func (r *Reader) judge(l *lane, t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.reached > 0 || t.unreached == nil {
		l.failures = 0
		return
	}
	l.failures++
	l.paused = r.now() + int64(failureDelays.Delay(l.failures, r.cfg.Random()))
	r.hasten(l.paused)
}

// done ends a pipeline.
func (r *Reader) done(b *batch) {
	room := r.budget.add(-b.reserved)
	clear(b.taken)
	clear(b.reads)
	clear(b.quiet)
	r.mu.Lock()
	defer r.mu.Unlock()
	if room {
		r.feed()
	} else if len(b.reads) == 0 {
		r.starved = !r.budget.add(0) // asked again under the mutex, so that no Release is missed
	}
	if b.lane.batches--; b.lane.batches == 0 {
		b.lane.work.Broadcast()
	}
}

// feed wakes the lanes that wait for memory. Reader.mu is held.
func (r *Reader) feed() {
	if !r.starved {
		return
	}
	r.starved = false
	for _, l := range r.roster.lanes {
		l.work.Broadcast()
	}
}
