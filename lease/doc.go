// Package lease keeps what a consumer owns: the scripts that decide in Redis who owns a stream, typed calls on them, and
// this process's own account of it, which ends no later than theirs.
//
// # What one ownership is
//
// An ownership is (consumer, token, entry). The consumer is one run of one process in one partition, under a name no run
// had before. The token was minted for this ownership and is greater than every earlier one of the partition. The entry is
// the announcement that gave rise to it. The value of the lease key is these three,
//
//	<consumer> <token> <entry>[ <entry that waits>]
//
// and whatever changes a lease compares all three: a consumer may own the same stream twice in a row, an entry may be
// acquired twice by one consumer (its first answer was lost), and only together do they tell a late call from a timely one.
// What waits is a hint for the owner and compared with nothing.
//
// Two things expire. The session, a score in the partition's session set, says whether the consumer is alive; it is short
// and beaten every second or so. The lease, a key with a TTL, says who owns the stream; it is long and renewed rarely. An
// owner needs both.
//
// # States
//
// Of an entry, as Redis has it; every arrow is one script, atomic:
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
// "Read" and "held" are both pending for one consumer; held has a lease that names it, and a delivery count of
// [HeldDeliveries].
//
// Of a [Lease], as its user sees it. No arrow leads back:
//
//	       Done, Release, Fail, HandBack             answered
//	held ---------------------------------> ending -----------> ended
//	  |                                     (renewed inside)
//	  +-- a deadline passed, or Redis says no --> lost
//
// # The trust window
//
// A lease is held at an instant of the process's monotonic clock while it has no ending and
//
//	now < min(lease deadline, session deadline)
//	lease deadline   = when the last successful renewal was sent + lease TTL   - margin
//	session deadline = when the last successful beat was sent    + session TTL - margin
//
// "Sent" is the time just before the call was handed to the client library, not when its answer came: the server counts its
// TTL from some instant in between, so this account always ends first, by the margin at least, which allows for clocks that
// run at different speeds. Whoever looks at a deadline after it has passed ends it for good ([Session.Extend] and
// [Lease.Extend] report it): an answer that comes late brings nothing back, since somebody may have been told already that
// it is over. No timer is needed for that, and a pause of the whole process changes nothing in it.
//
// TTLs are those that went out with the call ([Terms]), which may be longer for a while. A TTL replaces the one before on the
// server, so whoever lengthens one asks for no less afterwards than what is left of it, until that has run out: else a later
// call would leave the server with less than is believed here.
//
// # What is on record
//
// A server that takes over settles for the greatest session TTL that it knows of the fleet, so nobody may believe in a session
// for longer than any server that may take over knows. Each beat puts its TTL on record, and the greatest that it may come to
// ask for ([Settings.Reach]). It answers what may be relied on ([Beat.Firm]): the greatest on record before it last grew,
// until the greater one has been there for as long as what it replaced lasts. The TTL in the account above is
//
//	min(session TTL, Beat.Firm)
//
// and beats come as often as that asks for. A failover that forgets what was put on record begins this again, since the
// answers of the new server are about what that has on record. Where nothing was on record before, by the open that makes the
// group, all of it counts at once: a server that lacks that lacks the service, and is no other than one that lost its data
// (below). This holds while a server that is promoted lags by less than the greatest session TTL it knows.
//
// TTLs of leases need no record. A lease is believed in no longer than its session, and settling, in which nothing that a server
// has forgotten is given away, lasts as long as any session. What it has not forgotten has a key.
//
// The greatest TTL falls again when two looks, as far apart as it lasts, have found no session that may reach it. A beat looks
// where its own reach is less, never while the partition settles. Nobody believes in more then, as the comment on age in
// lua/parts/session.lua has it. Sessions of a version that puts nothing on record hold it where it is.
//
// # When the server's clock is set
//
// Set back, it shows as a last beat in the future: deadlines are brought down to one greatest TTL from there, settling that had
// begun begins again, and what else is kept of times starts over. The dead are found after another session TTL; nobody is
// believed dead for it. Set forward by more than beats may be apart, it looks like an outage, whose length is added to the
// deadlines of the living; but keys with a TTL, the leases among them, are gone by then where the step was longer.
//
// While a partition settles, after its server was seen to change, a lease's deadline is lowered ([Lease.Cap]) to what the
// session's was before, until a renewal or verify that was sent later succeeds: the new server may have forgotten the
// lease, and settling, in which nobody is given anything free, lasts one full session TTL of the slowest member.
//
// # What happens when
//
//   - No answer. The call may have run, may be running, may run later. It is asked again as it was: each script leaves the
//     same after one run as after several. Until an answer says otherwise the deadlines run on.
//   - A definite refusal ([Refusal]). Nothing of the item was done. OOM, READONLY, LOADING, TRYAGAIN and the like pass;
//     rights and keys of another type do not ([Permanent]).
//   - Session lost (the answer, or its deadline). All its leases are lost. A new session has a new name.
//   - Session absent. It was forgotten, not ended. A beat makes it again; nothing is acquired until then.
//   - Lease [Lost]. Its key names somebody else or is gone. The entry may be pending still: it is given up under [AnyToken].
//   - Lease [Missing], only while settling. Nobody else can have it, so verify sets it again where its entry is pending.
//   - Slot migrating. Scripts with several keys answer TRYAGAIN; [Store.Beat] alone and [Store.Extend] have one key and work.
//   - Server full. Beats, renewals, verifies and endings pass, since their first write is one that maxmemory does not
//     refuse; acquisitions are refused.
//   - Server demoted, with a client that still talks to it. What decides anything writes first, so it is refused instead of
//     deciding by what the old server knew. (But for extend: only clusters need it, and their replicas redirect.)
//   - An entry cannot be moved: it is too large, or the server refuses it again and again for what it is ([Blames]). A dead
//     letter refers to it ([ToReference]); it is acknowledged and stays in the input stream. [Move] steps over it.
//   - Held, and not pending: acknowledged by hand, or its consumer was removed. keep makes it pending again while the lease is
//     still ours; done deletes it; restore gives it up. Its body is gone: it is announced from memory ([Memory]), after the
//     ownership has ended.
//   - done finds nothing pending ([NotPending]). Either an earlier attempt did it, or another consumer has the entry: if both
//     deadlines held throughout, it was the former; else the outcome is unknown and the caller says so.
//
// # What is not guaranteed
//
// That work is done once: an entry is handed out again after a crash, after a write that a failover forgot, and after an
// outcome that stayed unknown. The token is there for this, as a fence: a store that remembers the greatest token it has
// seen for a stream refuses writes under a lesser one.
//
// That nobody else owns the stream, where time itself cannot be trusted: a suspended virtual machine, whose monotonic clock
// stands still; a server's clock stepped forward by more than a margin while somebody is cut off, or by more than a TTL. Nor
// where a server is promoted, or restarts from a snapshot, that is older than the session TTL it knows, in a fleet whose
// session TTLs have just been raised. Nor where data is taken away: eviction of our keys, FLUSHALL
// or deletion by hand, a server without persistence that restarts empty and is found by a consumer that is new itself (to
// it this is the first start of the service), an old master that goes on acknowledging writes after another was promoted.
// Nor where a change of server cannot be seen: INFO is refused, so that a node's ID has to do, which a restart does not
// change; or a server is demoted and promoted again before anybody has beaten the one in between.
//
// That a live owner keeps its lease: an acquisition that was given up on and runs after a later one of the same entry
// mints a token over the later one's, which is then found lost and re-queued. It is safe, and costs a hand-over.
//
// # Where to look
//
// The scripts are in lua, a file each, with what they share in clock, record, session, value, token and entry. [Store] makes the
// calls, one attempt each, and decides nothing. [Table] says which leases are due, with a wheel; [Lease] and [Session] are
// deadlines and endings without locks. Nothing in this package starts a goroutine.
package lease
