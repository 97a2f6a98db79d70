package reading

import "time"

// Source is one stream that is to be read. Calls for one source never overlap. They come from goroutines that read for all streams
// of a master, so none may block. They may call any method of the Reader and of the source's Handle.
type Source interface {
	// Stream is the key of the stream. It never changes.
	Stream() string
	// Next is called when the stream's turn has come: after which ID to read ("" is from the start), and how many messages at most, at
	// least 1. ok false: not now; the stream is left alone until Handle.Wake. Next may be called several times before a Read, and must
	// change nothing.
	Next() (after string, count int, ok bool)
	// Read takes in what was read and returns what becomes of the stream.
	Read(r Result) Then
}

// Result is what one read of a stream brought.
type Result struct {
	After    string    // as Next said
	Messages []Message // none: there is nothing after it; never together with Info or Err
	Full     bool      // there are as many as asked for, so there may be more
	Bytes    int       // what the messages take of the budget until Reader.Release
	// Info is set where nothing was read and the stream was looked at, after the read: at the first read, where it was rung for nothing, after a
	// reconnect or a change of master, and now and then by the sweep. Since messages may be added between the read and the look,
	// Info.Last may be greater than After: they are read next.
	Info *Info
	// Err is an error that lasts: the key is no stream, rights are missing, or After is not an ID; see Permanent. All others are
	// retried here, without limit, and not reported.
	Err error
}

// Info describes a stream, at one moment.
type Info struct {
	Exists bool
	Last   string // the greatest ID that it ever had; "" if it does not exist
	First  string // the ID of its first message; "" if it has none
	Length int64  // messages in it
	Added  int64  // messages ever added; -1 where the server does not count them (before Redis 7.0)
}

// Then is what becomes of a stream after a read: Rest, Again, Hold or After.
type Then int64

const (
	// Rest waits until the stream is rung. It is read at once if it was rung since the read began.
	Rest Then = 0
	// Again goes to the back of the queue.
	Again Then = -1
	// Hold leaves the stream alone until Handle.Wake. Rings are remembered.
	Hold Then = -2
)

// After reads the stream again after some time, or when it is woken; not above 0: Again.
func After(d time.Duration) Then {
	if d <= 0 {
		return Again
	}
	return Then(d)
}
