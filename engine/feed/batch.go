package feed

import (
	"errors"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

// MaxState is the greatest length of a program's state, in bytes. The rest of a checkpoint's 4 KiB is the position.
const MaxState = position.MaxState

// Batch is some messages of one stream, in order, without gaps: nothing lies between them that was not handled before. Its fields are
// the handler's to read, and not to change.
type Batch struct {
	// Lease is the ownership under which the messages were read. A handler does not end it: it returns Finish, or an error.
	Lease api.Lease
	// Messages has at least one, and at most MaxBatch.
	Messages []Message

	from  origin
	began time.Time
	bytes int

	// Guarded by the mutex of the stream.
	state    string
	changed  bool // state is not that of the stream
	handled  int  // of Messages, by Upto
	keeps    bool
	ended    bool // by Pending, or by the return of the handler
	err      error
	returned bool
}

// origin is the stream that a batch is from. Its lock guards what changes in the batch.
type origin interface {
	sync.Locker
	// advanceLocked takes the first n messages of the batch as handled.
	advanceLocked(b *Batch, n int)
	// end ends the batch, unless it has ended.
	end(b *Batch, err error)
}

// ErrTooLate is returned by Batch.SaveState after the batch has ended.
var ErrTooLate = errors.New("feed: the batch has ended")

// State returns what SaveState was last given for this stream, by this owner or an earlier one; "" if nothing was.
func (b *Batch) State() string {
	b.from.Lock()
	defer b.from.Unlock()
	return b.state
}

// SaveState sets the program's part of the checkpoint, at most MaxState bytes. It is stored with the position, in the same step: when
// the messages of this batch are handled, so is it, and if they are not, it is as if it had not been called. So state that is
// folded from the messages always fits the position. Pending.Upto takes along what was set before it.
//
// It returns an error that matches api.ErrCheckpointTooLong, or ErrTooLate if the batch has ended; then nothing is changed.
func (b *Batch) SaveState(state string) error {
	if len(state) > MaxState {
		return api.ErrCheckpointTooLong
	}
	b.from.Lock()
	defer b.from.Unlock()
	if b.ended && b.returned {
		return ErrTooLate
	}
	b.state, b.changed = state, true
	return nil
}

// Keep lets the handler return while the work on the batch goes on elsewhere, so that work that waits takes no worker. The stream is
// not read on until Handled or Retry of the Pending is called, which must be done even after the context has ended: until then this
// process does not own the stream again. If the handler returns an error all the same, that ends the batch.
//
// Kept batches count in MaxBytes. When they take half of it, a warning names the stream that has been kept longest.
//
// Keep must be called before the handler returns; later, it changes nothing.
func (b *Batch) Keep() *Pending {
	b.from.Lock()
	defer b.from.Unlock()
	if !b.returned {
		b.keeps = true
	}
	return &Pending{batch: b}
}

// Pending is the end of a batch that was kept. Its methods may be called from any goroutine; after the batch has ended, they do
// nothing.
type Pending struct{ batch *Batch }

// Handled ends the batch: all its messages are handled.
func (p *Pending) Handled() { p.batch.from.end(p.batch, nil) }

// Retry ends the batch with an error, as if the handler had returned it. The messages after the last Upto come again, or what else
// follows from the error. Retry(Finish) ends the stream, and Retry(nil) is Handled.
func (p *Pending) Retry(err error) { p.batch.from.end(p.batch, guard.Error(err)) }

// Upto says that the messages up to and including that one are handled, and moves the position there. The batch goes on. An ID that is
// lower than an earlier one, or that is none, is ignored. Upto of the last message does not end the batch; Handled does.
func (p *Pending) Upto(id string) {
	to, err := position.Parse(id)
	if err != nil {
		return
	}
	b := p.batch
	b.from.Lock()
	defer b.from.Unlock()
	if b.ended {
		return
	}
	n := b.handled
	for n < len(b.Messages) && !to.Less(idOf(b.Messages[n].ID)) {
		n++
	}
	b.from.advanceLocked(b, n)
}
