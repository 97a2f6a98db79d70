package api

// Notification tells a [Handler] that something happened to a stream or, with
// Terminated, to the engine. Notifications of one stream are delivered one at
// a time and in order; those of different streams are delivered in parallel.
type Notification struct {
	// Kind is what happened. Ignore kinds that you do not know.
	Kind Kind

	// Stream is the name of the data stream; empty for Terminated.
	Stream string

	// Token is the token of the ownership concerned; zero for Expired and
	// Terminated.
	Token Token

	// Lease is the ownership concerned, for Added, Releasing, Superseded,
	// Signaled and Disowned; nil for the others. An Added and the notifications that follow
	// from it carry the same Lease.
	Lease Lease

	// Err is the reason. For Disowned it is the cause of the lease's context,
	// which matches ErrLeaseLost or ErrClosed, and also ErrAnnouncementLost if
	// the stream must be published again; for Releasing it matches
	// ErrReleasing, and either ErrDraining or ErrRebalanced; for Terminated it
	// is what Run returns, nil after a clean drain. It is nil for the others.
	Err error

	// Payload is what was sent with a signal; nil for kinds other than Signaled.
	// It is shared and must not be changed.
	Payload []byte
}
