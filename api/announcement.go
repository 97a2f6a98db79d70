package api

import "time"

// Announcement is what a producer says about a data stream: that it exists and
// needs an owner. Announcing a stream that is already owned is allowed; each
// announcement is handled in turn.
type Announcement struct {
	// Stream is the name of the data stream, usually the key of a Redis
	// stream: UTF-8, not empty, and none of the service's own keys, such as
	// "<service>-input" or "{<service>-input}:sessions".
	Stream string

	// Info travels with the announcement and is what Lease.Info returns. It
	// is encoded with encoding/json; nil means none.
	Info any

	// NotBefore is the earliest time at which the stream may be handed out,
	// by the clock of the Redis server, in whole milliseconds. The zero time
	// and times in the past mean at once. At most ten years from now, and not
	// between 1970 and 1973: such a time was given in the wrong unit. Where
	// consumers are not busy, it comes up to 0.2 s after that time.
	NotBefore time.Time

	// Fields go beside the announcement, and Lease.Field returns them: for what
	// is about the announcement rather than the work, such as where a trace
	// comes from. At most MaxFields bytes, names included. A name is not empty,
	// not "lbs-input", and does not begin with '_'; of a repeated one the first
	// counts.
	Fields []Field

	// OnlyIfUnowned announces the stream only where nobody owns it: see
	// engine.OnlyIfUnowned. Not together with NotBefore.
	OnlyIfUnowned bool
}
