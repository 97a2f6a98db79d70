package feed

import (
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/due"
	"github.com/streamlease/streamlease/engine/feed/internal/list"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
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
	rebalanced                   // the reason of releasing, else a drain
)

// stream is one stream under one lease. 10,000 and more rest in a process: what it needs while it is busy is in work.
//
// What happens to it is decided with its mutex locked, by methods whose names end in Locked: they change its state, call nobody, and
// return the effects, which are applied once the mutex is unlocked.
type stream struct {
	*shared
	lease  api.Lease
	handle backing.Handle
	next   *stream // in the registry, whose mutex guards it

	mu    sync.Mutex // guards all below
	at    position.ID
	state *string // of the program; nil: none, as most have
	work  *work   // nil while nothing is going on
	// seen is how many messages were ever added up to the position, where Redis counts them; unknown until the stream was looked at
	// with nothing left to read.
	seen     int64
	active   uint32 // when a message was last handled, by clock.ticks
	newer    uint32 // when it was superseded
	failures uint16
	flags    flags
	phase    phase
	signals  uint8 // 1 while signals of it wait or are delivered
}

// work is what a stream needs while it is busy. The mutex of the stream guards it, its place aside.
type work struct {
	messages []reading.Message // read and not handled
	bytes    int               // what they take of the budget
	full     bool              // there may be more in Redis
	batch    *Batch            // being handled
	until    position.ID       // up to here, messages come one at a time
	skip     *skipped
	gap      *Gap // to be told, before the position moves to
	to       position.ID
	timer    *time.Timer // of the next try
	tries    int         // how often it was not found where the stream begins
	stopping bool        // OnStop, and then the end, with err
	err, why error
	since    time.Duration // when a worker or the user got it

	oldest position.ID // of the messages that were read and not handled, while there is one that others are to see
	behind bool        // there is

	place list.Node[*stream] // among those that are busy
}

// skipped is a message that is about to be passed over.
type skipped struct {
	message reading.Message
	err     error
}

// shared is what all streams of a feed have in common, and all that a stream knows of it. Its mutexes are locked after that of a stream.
type shared struct {
	cfg     *Config
	clock   clock
	log     *sumlog.Logger
	metrics *metrics.Metrics
	counts  *counts
	changes *changes
	busy    list.List[*stream] // the streams that are doing something; most rest
	later   due.Queue[*stream] // whose positions are to be stored when CheckpointEvery has passed
	passes  passes[*stream]    // see stream.passLocked
	trims   trims              // nil: nothing is trimmed
	out     outlet
}

// trims gets the streams whose handled messages are to be deleted.
type trims interface{ add(s *stream) }

// outlet does what was decided. No mutex of a stream is locked when it is called.
type outlet interface {
	// took takes bytes that were read out of the budget.
	took(bytes int)
	apply(s *stream, fx effects)
}

// effects are what is to be done after the mutex of a stream has been unlocked.
type effects struct {
	release int  // bytes, to the budget
	remove  bool // from the reader
	push    bool // to the workers
	wake    wake
	chore   chore
	ended   bool // the ownership, with err
	err     error
}

type wake uint8

const (
	noWake wake = iota
	wakeIfRung
	wakeNow
)

// chore is what takes round trips, and is no user's code.
type chore uint8

const (
	noChore chore = iota
	toResolve
	toLeave
	toMakeWay
)

// Stream is the key to read.
func (s *stream) Stream() string { return s.lease.Stream() }

func (s *stream) is(f flags) bool { return s.flags&f != 0 }

// after applies what f decides, with the mutex locked.
func (s *stream) after(f func() effects) {
	s.mu.Lock()
	fx := f()
	s.mu.Unlock()
	s.out.apply(s, fx)
}
