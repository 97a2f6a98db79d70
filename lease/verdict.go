package lease

// Verdict is a script's answer to one item of its batch. An unknown one counts as not owned.
type Verdict byte

const (
	Kept    Verdict = 'k' // renew, verify: still ours, extended; keep: as it should be
	Lost    Verdict = 'l' // renew, verify: another's, or gone
	Missing Verdict = 'm' // renew: not there, while the partition settles; verify decides

	Finished   Verdict = 'd' // done: acknowledged, deleted, freed
	Moved      Verdict = 'm' // requeue: copied, acknowledged, deleted, freed
	NotPending Verdict = 'n' // done, requeue, acquire: not pending for this consumer
	Owned      Verdict = 'o' // done, requeue: the stream is owned under another token
	NotShut    Verdict = 'y' // done: the lease is not shut as it was; nothing changed
	Gone       Verdict = 'g' // acquire, requeue, restore, keep, verify: somebody deleted the body; acknowledged, except by keep and verify
	Full       Verdict = 'f' // requeue: the dead-letter stream is full; delayed
	TooWide    Verdict = 'u' // requeue: more fields than can be copied
	TooHeavy   Verdict = 'b' // requeue: too heavy to be copied
	Bare       Verdict = 'z' // requeue: no field that a copy would keep
	Referred   Verdict = 'r' // requeue: a dead letter refers to it; acknowledged, freed, not deleted
	Left       Verdict = 't' // requeue, keep: not processed, since those before it weigh enough for one call
	Refused    Verdict = 'x' // done, requeue, acquire: an error, nothing changed

	Acquired  Verdict = 'a' // acquire: ours now
	HeldByOne Verdict = 'h' // acquire: somebody owns the stream
	Early     Verdict = 'e' // acquire: before its _not_before

	PendingAgain Verdict = 'r' // keep: it was not pending for its owner, and is so again
	Undelivered  Verdict = 'w' // keep: not delivered to anybody yet
	FromMemory   Verdict = 'c' // restore: its body is gone; announced again as this process remembers it
)

// Verdicts on checkpoints. Lost means that the lease is another's, Missing that it is not there, Refused that the checkpoint is too
// long, or that the one which is there cannot be read. One is 0 if the call failed: it may have been stored.
const (
	Saved      Verdict = 's' // stored
	Stale      Verdict = 'o' // a later call of the session came first, nothing was stored; try again with a greater number
	SavedLater Verdict = 't' // not stored now: too much for one call, or nothing to check against while the slot migrates
)
