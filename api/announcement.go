package api

import "time"

// Announcement is what a producer says about a data stream: that it is there
// and wants an owner. Announcing a stream that is owned already is allowed;
// each announcement is handled in its turn.
type Announcement struct {
	// Stream is the name of the data stream, usually the key of a Redis
	// stream: UTF-8, not empty, and none of the service's own keys, as
	// "<service>-input" or "{<service>-input}:sessions".
	Stream string

	// Info goes along with the announcement and comes out at Lease.Info. It
	// is encoded with encoding/json; nil means that there is none.
	Info any

	// NotBefore is when the stream may be handed out at the earliest, by the
	// clock of the Redis server, in whole milliseconds. The zero time, and
	// one that has passed, mean at once. At most ten years from now, and not
	// in 1970 to 1973: such a time was meant in another unit.
	NotBefore time.Time
}
