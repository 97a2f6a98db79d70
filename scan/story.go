package scan

import (
	"time"

	"github.com/streamlease/streamlease/api"
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
	// Ownership is who owns it, if anybody does.
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
