// Package lease keeps track of what a consumer owns. It holds the scripts that decide in Redis who owns a stream, typed calls
// on them, and this process's own account of its leases, which always ends before the server's does.
//
// Programs need a [Pipeline] or [Limits] at most, for engine.WithPipeline and engine.WithLimits ([docs/options.md]). What they hold is an
// api.Lease, and what it promises is in [docs/guarantees.md]. This page is for those who want to know why that holds.
//
// # Stable names
//
// Programs outside this module may use [Pipeline] and [Limits], with their fields, defaults, bounds and methods. Every other
// exported name is for the other packages of this module and may change with any release.
//
// # What one ownership is
//
// An ownership is (consumer, token, entry). The consumer is one run of one process in one partition, under a name that no
// earlier run had. The token was minted for this ownership and is greater than every earlier one of the partition. The entry is
// the announcement that led to it. The value of the lease key is these three ([Value]),
//
//	<consumer> <token> <entry>[ <entry that waits>]
//
// and every script that changes a lease compares all three. A consumer may own the same stream twice in a row, and may acquire
// the same entry twice (the first answer was lost); only the three together tell a late call from a timely one. The waiting
// entry is a hint for the owner and is never compared. When it begins to wait, and when such a lease ends, a signal says so
// ([Signals]), so that the owner, and whoever waits, hear of it with their next beat; a signal that is lost costs time only.
//
// Two things expire. The session, a score in the partition's session set, shows that the consumer is alive; it is short and
// is extended by a beat every second or so. The lease, a key with a TTL, shows who owns the stream; it is long and renewed
// rarely. An owner needs both.
//
// # States
//
// Of an entry, as Redis has it. Every arrow is one script, atomic:
//
//	          XREADGROUP           acquire                 done
//	 input ---------------> read ------------> held ------------------> gone
//	   ^                      |                 |  ^
//	   |                      |                 |  +-- renew, extend, verify
//	   +------- requeue ------+-----------------+
//	   |                      |                 |
//	promote                   |                 |
//	   |                      v                 v
//	 later <---- requeue with a delay     requeue ----> dead letters
//	   ^                                     |
//	   +-------- dead letters are full ------+
//
// "Read" and "held" are both pending for one consumer; a held entry has a lease that names it, and a delivery count of
// [HeldDeliveries].
//
// Of a [Lease], as its user sees it. No arrow leads back:
//
//	       Done, Release, Fail, HandBack             answered
//	held ---------------------------------> ending -----------> ended
//	  |                                     (still renewed)
//	  +-- a deadline passed, or Redis refuses --> lost
//
// # The trust window
//
// A lease is held at an instant of the process's monotonic clock while it has no ending and
//
//	now < min(lease deadline, session deadline)
//	lease deadline   = when the last successful renewal was sent + lease TTL   - margin
//	session deadline = when the last successful beat was sent    + session TTL - margin
//
// "Sent" is the time just before the call was passed to the client library, not when its answer arrived. The server starts its
// TTL somewhere in between, so this account always ends first, by at least the margin, which allows for clocks that run at
// different speeds. Whoever finds a deadline past ends it for good ([Session.Extend] and [Lease.Extend] report that): a late
// answer cannot bring it back, since somebody may already have been notified that it is over. This needs no timer, and a pause
// of the whole process does not weaken it.
//
// TTLs are those that went out with the call ([Terms]), which may be longer for a while. A TTL replaces the previous one on the
// server. So whoever lengthens one asks for no less than what is left of it until it has run out; otherwise a later call
// would leave the server with less than this process believes.
//
// # What is on record
//
// A server that takes over settles for the greatest session TTL that it knows of the fleet. So nobody may believe in a session
// for longer than every server that might take over knows. Each beat puts its TTL on record, and the greatest that it may later
// ask for ([Settings.Reach]). Its answer says how much may be relied on ([Beat.Firm]): the greatest TTL on record before it last
// grew, until the greater one has been there for as long as the one it replaced lasts. The TTL in the account above is
//
//	min(session TTL, Beat.Firm)
//
// and beats are as frequent as that requires. A failover that loses a record starts this over, since the answers of the new
// server are about what the new server has on record. Where nothing was on record before, because this open made the group, all
// of it counts at once: a server that lacks this record lacks the whole service, which means that it lost its data (below). All
// of this holds while a promoted server lags by less than the greatest session TTL it knows.
//
// Lease TTLs need no record. A lease is never believed in for longer than its session, and settling, during which nothing that
// the server has forgotten is given away, lasts as long as any session. A lease that it has not forgotten has its key.
//
// The greatest TTL falls again when two looks, one greatest TTL apart, have found no session that may reach it. A beat looks
// when its own reach is less, and never while the partition settles. By then nobody believes in more, as the comment on age in
// lua/parts/session.lua shows. Sessions of a version that puts nothing on record keep it where it is.
//
// # When the server's clock is set
//
// Set back, it shows as a last beat in the future. Deadlines are lowered to one greatest TTL from there, settling that had begun
// begins again, and other stored times start over. The dead are found one session TTL later; nobody is taken for dead because
// of it. Set forward by more than the longest gap between beats, it looks like an outage, whose length is added to the
// deadlines of the living. If the step was longer than a TTL, though, the keys with that TTL, leases among them, are gone by then.
//
// # After a failover
//
// While a partition settles, after its server was seen to change, a lease's deadline is lowered ([Lease.Cap]) to the session's
// previous one, until a renewal or verify that was sent later succeeds: the new server may have forgotten the lease, and
// settling, during which nothing free is given away, lasts one full session TTL of the slowest member.
//
// # Checkpoints
//
// How far the owner of a stream has come is kept beside its lease, in one hash a partition, and belongs to the stream: the next
// owner gets it with the acquisition ([Take.Checkpoint]). It is stored under the fence of the lease: consumer, token and entry,
// in a batch of its own ([Store.SaveCheckpoints]), with a renewal ([Store.Renew]), with an ending ([Disposition]), and when a lease is
// restored after a failover ([Store.Verify]). What is stored is
//
//	<token> <tag> <checkpoint>     under s<stream>
//	<number>                       under !<consumer>
//
// The token is that of the owner: acquire writes it, and an ending stores nothing in the place of a greater one; nor, if its lease is gone,
// where there is none, since a later owner may have dropped it. So dropping leaves nothing behind. An empty checkpoint is none: it is stored
// while its owner holds the stream, and goes with the ending, or with the next acquisition. The tag is v, r
// once the stream was handed back, or d and the time at which it was done, after which it is kept for a while; an unknown one is an
// error. The number rises with each call of a session that stores checkpoints, so one that comes late, by whatever way, stores nothing.
// While a slot migrates, token and tag stand for the lease in a script with that one key ([Store.SaveCheckpointsAlone]).
//
// What is not guaranteed is that the last one was stored. After a crash, and after a failover that forgot it while its owner died,
// what was done since the one before is done again; nothing is ever passed over. Where the server refuses checkpoints, because of
// rights, a key of another type, or a value of a later version, leases are acquired, renewed and ended as ever, and the answers say so.
//
// # What happens when
//
//   - No answer. The call may have run, may be running, may run later. It is repeated unchanged: a script that runs several
//     times leaves the same state as one that runs once. Until an answer says otherwise, the deadlines go on running.
//   - A definite refusal ([Refusal]). Nothing was done for the item. OOM, READONLY, LOADING, TRYAGAIN and the like are temporary;
//     missing rights, keys of another type and a server that is too old are not ([Retryable]).
//   - Session lost, by the answer or by its deadline. All its leases are lost. A new session has a new name.
//   - Session absent. It was forgotten, not ended. A beat makes it again; nothing is acquired until then.
//   - Lease [Lost]. Its key names somebody else or is gone. The entry may still be pending: it is requeued under [AnyToken].
//   - Lease [Missing], only while settling. Nobody else can have it, so verify sets it again if its entry is pending.
//   - Slot migrating. Scripts with several keys answer TRYAGAIN; [Store.Beat] with alone set, [Store.Extend] and
//     [Store.SaveCheckpointsAlone] use one key and work.
//   - Server full. Beats, renewals, verifies, endings and checkpoints pass, since their first write is one that maxmemory does not
//     refuse; acquisitions are refused.
//   - Server demoted, with a client that still talks to it. Scripts that decide anything write first, so they are refused instead
//     of deciding from outdated data. (Except extend: only clusters need it, and their replicas redirect.)
//   - An entry cannot be moved: it is too large, or the server keeps refusing it for what it is ([Blames]). A dead letter refers
//     to it ([ToReference]); it is acknowledged and stays in the input stream. [Move] steps over it.
//   - Held, but not pending: acknowledged by hand, or its consumer was removed. keep makes it pending again while the lease is
//     still ours; done deletes it; restore requeues it. If its body is gone, it is announced from memory ([Memory]), after the
//     ownership has ended.
//   - done finds nothing pending ([NotPending]). Either an earlier attempt did it, or another consumer has the entry: if both
//     deadlines held throughout, it was the former; otherwise the outcome is unknown and the caller reports that.
//
// # What is not guaranteed
//
// That work is done once. An entry is handed out again after a crash, after a write that a failover lost, and after an
// outcome that stayed unknown. The token is the fence for this: a store that remembers the greatest token it has seen for a
// stream refuses writes under a lesser one.
//
// That nobody else owns the stream when time itself cannot be trusted: a suspended virtual machine, whose monotonic clock
// stands still; a server's clock stepped forward by more than a margin while somebody is cut off, or by more than a TTL. Nor
// when a server is promoted, or restarts from a snapshot, that is older than the session TTL it knows, in a fleet whose
// session TTLs have just been raised. Nor when data is taken away: eviction of our keys, FLUSHALL or deletion by hand; a server
// without persistence that restarts empty and is found by a consumer that is itself new (to that consumer this is the first
// start of the service); an old master that goes on acknowledging writes after another was promoted. Nor when a change of
// server cannot be seen: INFO is refused, so that a node's ID has to do, which a restart does not change; or a server is
// demoted and promoted again before anybody has sent a beat to the one in between.
//
// That a live owner keeps its lease. An acquisition that timed out, and runs after a later one of the same entry, mints a token
// over the later one's, which is then found lost and requeued. That is safe, and costs a hand-over.
//
// # Where to look
//
// The scripts are in lua, one file each; what they share is in lua/parts. [Store] makes the calls, one attempt each, and
// decides nothing. [Table] finds the leases that are due, with a wheel; [Lease] and [Session] are deadlines and endings
// without locks. Nothing in this package starts a goroutine.
//
// # Errors
//
// Those of [Pipeline] and [Limits] match api.ErrInvalidConfig, and an announcement beyond the limits is an api.ErrTooLarge. For this
// module: [Refusal] tells a definite refusal of the server from an unknown outcome, [Retryable] whether waiting helps; [ErrSetAside] is
// of [Store.Promote], and [ErrNameCut] of parsing an announcement.
//
// [docs/options.md]: https://github.com/streamlease/streamlease/blob/main/docs/options.md
// [docs/guarantees.md]: https://github.com/streamlease/streamlease/blob/main/docs/guarantees.md
package lease
