package feed

import (
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// phase is what a stream waits for. Each has one who moves it on:
//
//	starting ──▶ resting ──▶ ready ──▶ running ──▶ kept
//	  chore      reader │      pool     worker │     │ Pending
//	                    ◀──────────────────────┴─────┤
//	                    │         delayed ◀──────────┤
//	                    ◀───────── timer             │
//	                  leaving ◀──────────────────────┘     any ──▶ over
//	                   chore
type phase uint8

const (
	starting phase = iota // the reader does not have it yet
	resting               // nothing is in hand: the reader reads it
	ready                 // it waits for a worker
	running               // a worker calls code of the user
	kept                  // the handler has returned, the batch goes on
	delayed               // it waits for the next try
	leaving               // it is being ended in order
	over                  // it has ended, or ends when its signals are delivered
)

type flags uint16

const (
	missed     flags = 1 << iota // the reader asked while the stream was starting
	releasing                    // to be handed back
	lost                         // not owned any more
	superseded                   // announced again
	unsaved                      // the position is newer than the checkpoint
	listed                       // in later
	started                      // OnStart has returned nil
	resolved                     // the position was found for Latest
	trimming                     // in the trimmer
	passing                      // see stream.passLocked
	passed                       // and one read has brought nothing
	finishing                    // the stream is to be left when nothing is left to read
	attaching                    // it is being given to the reader, and ends after that
	pausing                      // a message of it has failed for good, and this announcement has not waited for that
)

// stream is one stream under one lease. 10,000 and more rest in a process: what it needs while it is busy is in work.
type stream struct {
	core   *core
	lease  api.Lease
	ended  func(error) // the engine's
	handle backing.Handle
	next   *stream // in the registry, whose mutex guards it

	mu    sync.Mutex // guards all below
	at    position.ID
	state string
	work  *work // nil while nothing is going on
	// seen is how many messages were ever added up to the position, where Redis counts them; unknown until the stream was looked at
	// with nothing left to read.
	seen     int64
	active   uint32 // when a message was last handled, by core.ticks
	newer    uint32 // when it was superseded
	failures uint16
	flags    flags
	phase    phase
	signals  uint8 // 1 while signals of it wait or are delivered
}

// unknown is a number of messages that is not known.
const unknown = -1

// effects are what is to be done after the mutex of a stream has been unlocked.
type effects struct {
	release int  // bytes, to the budget
	remove  bool // from the reader
	push    bool // to the workers
	wake    wake
	chore   func()
	ended   bool // the ownership, with err
	err     error
	keeps   bool // a batch was kept just now
}

type wake uint8

const (
	noWake wake = iota
	wakeIfRung
	wakeNow
)

// apply does what was decided. The order matters: bytes first, since what is read next may need them.
func (s *stream) apply(fx effects) {
	s.core.release(fx.release)
	if fx.remove && s.handle != nil {
		s.handle.Remove()
	}
	if fx.keeps {
		s.core.warnOfKept()
	}
	if fx.push {
		s.core.workers.Add(task{stream: s})
	}
	if fx.wake != noWake {
		s.handle.Wake(fx.wake == wakeNow)
	}
	if fx.chore != nil {
		s.core.chores.Add(fx.chore)
	}
	if fx.ended {
		s.core.streams.remove(s)
		s.ended(fx.err)
	}
}

func (s *stream) is(f flags) bool { return s.flags&f != 0 }

// Stream is the key to read.
func (s *stream) Stream() string { return s.lease.Stream() }

// Next says where to read on. It implements reading.Source, as Read does.
func (s *stream) Next() (after string, count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != resting {
		s.flags |= missed
		return "", 0, false
	}
	count = s.core.cfg.MaxBatch
	if s.failures > 0 {
		count = 1 // the one that fails
	}
	return s.at.String(), count, true
}

// Read takes in what was read. What is not wanted any more is dropped: the stream may have been handed back meanwhile, or be ending.
func (s *stream) Read(r reading.Result) reading.Then {
	s.core.bytes.Add(int64(r.Bytes))
	s.mu.Lock()
	then, fx := s.readLocked(r)
	s.mu.Unlock()
	s.apply(fx)
	return then
}

func (s *stream) readLocked(r reading.Result) (reading.Then, effects) {
	switch {
	case s.phase != resting:
		s.core.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(r.Messages))
		return reading.Hold, effects{release: r.Bytes}
	case s.lease.Remaining() == 0: // ended by somebody else than the feed, or about to be disowned
		s.core.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(r.Messages))
		fx := s.stopLocked(nil, api.ErrLeaseLost)
		fx.release += r.Bytes
		return reading.Hold, fx
	case r.Err != nil:
		err := readError(s.Stream(), r.Err)
		return reading.Hold, s.stopLocked(err, err)
	case !s.at.Is(r.After):
		return reading.Again, effects{release: r.Bytes}
	case len(r.Messages) == 0:
		return s.emptyLocked(r.Info)
	}
	if err := s.checkLocked(r.Messages); err != nil {
		s.core.log.Warn("messages are not in order and are read again", 1, "example", s.Stream(), "err", err)
		return reading.After(time.Second), effects{release: r.Bytes}
	}
	w := s.workLocked()
	w.messages, w.bytes, w.full = r.Messages, r.Bytes, r.Full
	s.unpassLocked()
	s.flags &^= finishing
	s.phase = ready
	w.noteLocked()
	return reading.Hold, effects{push: true}
}

// checkLocked makes sure that messages follow the position and each other, as every server has them.
func (s *stream) checkLocked(messages []reading.Message) error {
	last := s.at
	for i := range messages {
		id, err := position.Parse(messages[i].ID)
		if err != nil {
			return err
		}
		if !last.Less(id) {
			return errOrder(last, id)
		}
		last = id
	}
	return nil
}

// emptyLocked is called where nothing follows the position.
func (s *stream) emptyLocked(info *reading.Info) (reading.Then, effects) {
	if info != nil {
		if found := s.lookLocked(info); found.kind != 0 {
			return s.foundLocked(found)
		}
	}
	if s.is(passing) && s.passLocked() {
		return reading.Again, effects{}
	}
	if s.work != nil { // what failed is gone
		s.idleLocked()
	}
	if s.is(superseded) {
		return reading.Hold, s.makeWayLocked()
	}
	if s.is(finishing) {
		s.flags &^= finishing
		return reading.Hold, s.finishLocked()
	}
	return reading.Rest, effects{}
}

// foundLocked moves the position to where reading goes on after a gap, once OnGap was called.
func (s *stream) foundLocked(f finding) (reading.Then, effects) {
	g := Gap{Lease: s.lease, Kind: f.kind, From: s.at.String(), To: f.to.String(), Missing: f.missing}
	s.core.gap(g)
	if s.core.cfg.OnGap != nil {
		w := s.workLocked()
		w.gap, w.to = &g, f.to
		s.phase = ready
		return reading.Hold, effects{push: true}
	}
	s.moveLocked(f.to)
	return reading.Again, effects{}
}

// moveLocked moves the position to where reading goes on after a gap.
func (s *stream) moveLocked(to position.ID) {
	if s.at == to {
		return
	}
	if to.Less(s.at) {
		s.seen = unknown
	}
	s.at, s.failures = to, 0
	s.saveLocked()
}

// advanceLocked takes the first n messages of a batch as handled.
func (s *stream) advanceLocked(b *Batch, n int) {
	if n <= b.handled {
		return
	}
	more := n - b.handled
	b.handled = n
	s.at, s.failures = idOf(b.Messages[n-1].ID), 0
	if s.seen != unknown {
		s.seen += int64(more)
	}
	if b.changed {
		s.state = b.state
	}
	s.active = s.core.ticks()
	s.core.metrics.Add(metrics.FeedMessages.With(metrics.MessageHandled), more)
	s.saveLocked()
	if t := s.core.trimmer; t != nil && !s.is(trimming) {
		s.flags |= trimming
		t.add(s)
	}
}

// saveLocked has the position stored: at once where the engine collects them anyway, and otherwise when CheckpointEvery has passed.
func (s *stream) saveLocked() {
	s.flags |= unsaved
	if s.core.cfg.CheckpointEvery <= DefaultCheckpointEvery || s.is(releasing) {
		s.flushLocked()
	} else if !s.is(listed) {
		s.flags |= listed
		s.core.later.add(s, s.core.now()+s.core.cfg.CheckpointEvery)
	}
}

// flushLocked hands the position to the lease, whose every ending takes it along.
func (s *stream) flushLocked() {
	if s.is(unsaved) {
		s.flags &^= unsaved
		s.lease.SetCheckpoint(s.markLocked())
		s.core.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointSet))
	}
}

func (s *stream) markLocked() string {
	return position.Mark{At: s.at, Failures: int(s.failures), State: s.state}.Encode()
}

// stopLocked ends the ownership: what was read and not begun is dropped, and after OnStop the lease is handed back, or failed with
// err. It must not be called while code of the user runs. why is for OnStop.
func (s *stream) stopLocked(err, why error) effects {
	if s.phase == over {
		return effects{}
	}
	fx := effects{remove: true}
	if w := s.work; w != nil {
		if w.stopping {
			return effects{}
		}
		fx.release = s.dropLocked()
	}
	s.flushLocked()
	if s.core.cfg.OnStop != nil && s.is(started) {
		w := s.workLocked()
		w.stopping, w.err, w.why = true, err, why
		s.phase, fx.push = ready, s.signals == 0 // else the end of its signals does that
		return fx
	}
	return s.endLocked(fx, err)
}

// endLocked ends the stream, unless its signals are being delivered: then the end of that does.
func (s *stream) endLocked(fx effects, err error) effects {
	s.phase = over
	s.unpassLocked()
	if s.signals > 0 {
		s.workLocked().err = err
		return fx
	}
	s.idleLocked()
	fx.ended, fx.err = true, err
	return fx
}

// dropLocked drops the messages in hand and returns their bytes.
func (s *stream) dropLocked() (bytes int) {
	w := s.work
	if w.timer != nil && w.timer.Stop() {
		s.core.retrying.Add(-1)
	}
	s.core.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(w.messages))
	bytes = w.bytes
	w.timer, w.messages, w.bytes, w.full, w.gap, w.skip = nil, nil, 0, false, nil, nil
	return bytes
}
