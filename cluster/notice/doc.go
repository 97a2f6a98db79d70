// Package notice listens for what Redis Software and Redis Cloud announce of their maintenance, and keeps account of it:
// which part of a service is in a window of maintenance, until when, and for how long answers may be slow.
//
// # How it listens
//
// A [Watcher] has one side connection to each node, beside those that carry data: dialled the same way, RESP3, with a PING
// about every second so that one that is cut off is noticed. It opts in with one command,
//
//	HELLO 3 [AUTH user password] SETNAME name
//	CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip
//
// and reads pushes from then on. A data connection would not do: an idle one is read late, and there is no place in it to
// opt in. A server that knows no such command (Redis Open Source, Valkey) answers with an error, which it counts; so that a
// node is asked once, the connection is closed, and the node is asked again only when its version has changed, or a day
// later.
//
// # What is announced
//
//	MOVING        seq seconds endpoint    the endpoint goes away; nothing says when that is over
//	MIGRATING     seq seconds shards      shards begin to move ...       MIGRATED     seq shards
//	FAILING_OVER  seq seconds shards      replicas are promoted ...      FAILED_OVER  seq shards
//	SMIGRATING    seq slots               slots begin to move ...        SMIGRATED    seq [[source, target, slots], ...]
//
// Pushes are parsed leniently ([Parse]): numbers may be missing, elements too many, endpoints empty; what cannot be made
// out means the whole service. Numbers of sequence rise and are the same on every node, and every node tells of everything,
// so (kind, number) tells whether something is new. Right after the opt-in a server repeats the last completion, however
// old: it counts only if it ends a window that is open.
//
// # Windows
//
// A [Tracker] makes windows of maintenance of what is announced. It is passive: no goroutine, no lock, no clock of its own.
//
//	             +-- completion of all of it, or time is up --+
//	(nothing) ---+                                            v
//	    ^    beginning --> open ------------------------> relaxed --> (nothing)
//	    |                   |  TTLs longer by its length     20 s
//	    |                   |  recovery held off, for 2 * MaxWindow in all
//	    |                   +-- timeouts longer in both --+
//
// The length of a window is what was announced, but at least 10 s, since announced times of 2 s, 0 and less occur, and at
// most [Config].MaxWindow, since TTLs are lengthened by it. A window whose completion is announced stays open until then,
// for three times its length at most: what is announced may be when it starts, and completions get lost. MOVING, which has
// none, is open for its length.
package notice
