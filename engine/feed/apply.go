package feed

import (
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/internal/pool"
)

// task is what a worker does next for a stream.
type task struct {
	stream *stream
	signal bool // deliver signals, else see worker.run
}

// choreTask is a chore that is to be done for a stream.
type choreTask struct {
	stream *stream
	chore  chore
}

// applier does what was decided for a stream. It is the outlet of all of them.
type applier struct {
	reader  *lateReader
	ends    backing.Leaver
	counts  *counts
	streams *registry
	workers *pool.Pool[task]
	chores  *pool.Pool[choreTask]
}

var _ outlet = (*applier)(nil)

func (a *applier) took(bytes int) { a.counts.bytes.Add(int64(bytes)) }

// release gives bytes back to the budget.
func (a *applier) release(bytes int) {
	if bytes > 0 {
		a.counts.bytes.Add(int64(-bytes))
		a.reader.Release(bytes)
	}
}

// apply does what was decided. The order matters: bytes first, since what is read next may need them.
func (a *applier) apply(s *stream, fx effects) {
	a.release(fx.release)
	if fx.remove && s.handle != nil {
		s.handle.Remove()
	}
	if fx.push {
		a.workers.Add(task{stream: s})
	}
	if fx.wake != noWake {
		s.handle.Wake(fx.wake == wakeNow)
	}
	if fx.chore != noChore {
		a.chores.Add(choreTask{s, fx.chore})
	}
	if fx.ended {
		a.streams.remove(s)
		a.ends.Ended(s.lease, fx.err)
	}
}
