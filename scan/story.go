package scan

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// StreamState is where a data stream stands. Later versions may have more.
type StreamState string

const (
	StreamOwned    StreamState = "owned"    // a process owns it
	StreamRead     StreamState = "read"     // an announcement is pending for a consumer that does not own it: it was just read, or waits there
	StreamWaiting  StreamState = "waiting"  // an announcement was not delivered yet
	StreamDelayed  StreamState = "delayed"  // an announcement is not to be handed out before a time
	StreamStranded StreamState = "stranded" // an announcement is neither pending nor undelivered: Reannounce
	StreamDead     StreamState = "dead"     // it has a dead letter
	StreamDone     StreamState = "done"     // its checkpoint says that it was done
	StreamUnknown  StreamState = "unknown"  // none of it: it was done and has no checkpoint, or was never announced
)

// Story is what Redis knows about one data stream.
type Story struct {
	Ownership Ownership

	// State is the first in the order of the constants that applies; a dead letter from before it was done last does not count.
	State StreamState

	// Why says in some sentences for a person why the stream stands there, and what to do about it. The wording changes.
	Why string

	// Owner is what the owner's process says of itself in the partition of the stream; Fair is not set, since that takes all
	// partitions (Balance). Nil: nobody owns the stream, or its owner says nothing.
	Owner *Process

	// Entries are its announcements in the input stream of its partition, the oldest first. One that a producer has put into another
	// partition is not among them until an engine has moved it.
	Entries []StreamEntry

	// Delayed are those that are delayed, in the order in which they are due.
	Delayed []Delayed

	// Letters are its dead letters, the newest first.
	Letters []DeadLetter

	// Checkpoint is how far its owners have come; nil: none is stored.
	Checkpoint *StoredCheckpoint

	// Settling is until when the partition gives no stream away, since its server was replaced or restarted; zero: it does.
	Settling time.Time

	// Ahead is how many announcements were not delivered and come before the first undelivered one of its own; -1: it has none, or
	// that is unknown.
	Ahead int

	// Unread says in words which collections were not looked through to the end.
	Unread []string
}

// StreamEntry is an announcement of a data stream in its input stream.
type StreamEntry struct {
	ID        string
	Announced time.Time     // by its ID; requeueing resets it. Zero for an ID that is no time
	Consumer  string        // that it is pending for; empty: for none
	Idle      time.Duration // since it was acquired, or read if it was not; 0 if it is not pending
	Retries   int           // failures counted
	Crashes   int           // crashes of its owners counted
	Stranded  bool          // it is neither pending nor undelivered, and no dead letter that was found refers to it

	undelivered bool
}

// StoredCheckpoint is what the owners of a data stream have stored last.
type StoredCheckpoint struct {
	Token  api.Token // of the owner that stored it
	Value  string    // as it was stored; feed.HandledUpTo reads that of a feed
	DoneAt time.Time // when the stream was done, or its dead letter dropped; zero: it was not, or is announced again
}

// storyItems is how many of each kind a Story has at most.
const storyItems = 20

// Story returns what Redis knows about one data stream: who owns it, what is announced, delayed or given up, and why it does not
// move. It changes nothing.
//
// It reads one thing after the other, so what happens meanwhile may be missing, or there twice. The work is bounded: of each
// collection InspectorConfig.CountLimit items are looked at, and 20 are returned; Story.Unread says what that has cut short.
//
// Errors match api.ErrInvalidStream or ErrUnknownService; or they say what could not be read, and the rest is returned. Where the
// client fails, nothing more is read.
func (i *Inspector) Story(ctx context.Context, stream string) (Story, error) {
	if err := cluster.ValidateStream(stream); err != nil {
		return Story{}, err
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return Story{}, err
	}
	t := &telling{Inspector: i, layout: layout, stream: stream, partition: layout.Of(stream), living: -1}
	t.story.Ownership, t.story.Ahead = Ownership{Stream: stream, Partition: t.partition}, -1
	for _, read := range []func(context.Context) error{
		t.readOwnership, t.readFleet, t.readSettling, t.readCheckpoint, t.readEntries, t.readDelayed, t.readLetters, t.readAgain,
	} {
		if err := read(ctx); err != nil {
			t.failed = append(t.failed, err)
			if clientFails(err) {
				break
			}
		}
	}
	t.conclude()
	return t.story, errors.Join(t.failed...)
}

// conclude says what all of it means.
func (t *telling) conclude() {
	s := &t.story
	referred := make(map[string]bool)
	for n := range s.Letters {
		referred[s.Letters[n].Reference] = true
	}
	for n := range s.Entries {
		e := &s.Entries[n]
		e.Stranded = e.Stranded && e.ID != s.Ownership.Entry && !referred[e.ID]
	}
	s.State = t.state()
	s.Why = t.why()
}

func (t *telling) state() StreamState {
	s := &t.story
	pending, waiting, stranded := s.count()
	switch {
	case s.Ownership.Consumer != "":
		return StreamOwned
	case pending > 0:
		return StreamRead
	case waiting > 0:
		return StreamWaiting
	case len(s.Delayed) > 0:
		return StreamDelayed
	case stranded > 0:
		return StreamStranded
	case len(s.Letters) > 0 && (s.Checkpoint == nil || !s.Checkpoint.DoneAt.After(s.Letters[0].At)):
		return StreamDead
	case s.Checkpoint != nil && !s.Checkpoint.DoneAt.IsZero():
		return StreamDone
	}
	return StreamUnknown
}

// count returns how many of its announcements are pending, undelivered and stranded.
func (s *Story) count() (pending, waiting, stranded int) {
	for n := range s.Entries {
		switch e := &s.Entries[n]; {
		case e.Consumer != "":
			pending++
		case e.Stranded:
			stranded++
		case e.undelivered:
			waiting++
		}
	}
	return pending, waiting, stranded
}
