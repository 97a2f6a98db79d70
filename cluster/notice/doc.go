// Package notice listens for the maintenance that Redis Software and Redis Cloud announce, and keeps track of it: which
// part of a service is in a maintenance window, until when, and for how long answers may be slow.
//
// Programs need a [Config] at most, for engine.WithMaintenance, with a [Mode] and an [EndpointType]; without it servers are asked where
// the engine can ask them. [docs/redis.md] says what maintenance does to a fleet, and package api has the events that report it
// (EventMaintenanceStarted and others). All other names are for this module, and may change in any version.
//
//	e, err := engine.Open(opt, "chat", engine.WithMaintenance(notice.Config{Mode: notice.On}))
//
// The only error that programs meet is that of [Config.Validate], which matches [api.ErrInvalidConfig].
//
// # How it listens
//
// A [Watcher] has one side connection to each node, next to those that carry data: dialled the same way, RESP3, with a PING
// about every second to detect one that is cut off. It opts in with one command,
//
//	HELLO 3 [AUTH user password] SETNAME name
//	CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip
//
// and reads pushes from then on. A data connection would not do: an idle one is read late, and offers no place to opt in. A
// server that does not know the command (Redis Open Source, Valkey) answers with an error, which it counts. So that a node
// is asked only once, the connection is then closed, and the node is asked again only when its version has changed, or a
// day later.
//
// # What is announced
//
//	MOVING        seq seconds endpoint    the endpoint goes away; nothing says when that is over
//	MIGRATING     seq seconds shards      shards begin to move ...       MIGRATED     seq shards
//	FAILING_OVER  seq seconds shards      replicas are promoted ...      FAILED_OVER  seq shards
//	SMIGRATING    seq slots               slots begin to move ...        SMIGRATED    seq [[source, target, slots], ...]
//
// Pushes are parsed leniently: numbers may be missing, there may be too many elements, endpoints may be empty; if the parts
// affected cannot be read, the whole service is assumed. Sequence numbers rise and are the same on every node, and every
// node announces everything, so (kind, number) tells whether a notice is new. Right after the opt-in a server repeats its
// last completion, however old: it counts only if it ends a window that is open. A server that fails over may count from 1
// again: numbers that were passed half a minute ago are new ones, on a connection that has stood for as long (see sequence).
//
// # Nodes that move
//
// A node that announces that it moves is followed by its own connection: to the endpoint that it named, which is tried three
// times, or to the same address after half of the time. A [Handoff] reports the outcome, for connections that carry data. Each
// node that announces it is taken at its word: what it says concerns the endpoint on which it came.
//
// # Windows
//
// A [Tracker] turns announcements into maintenance windows. It is passive: no goroutine, no lock, no clock of its own.
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
// but for at most three times its length: the announced time may be when the maintenance starts, and completions get lost.
// MOVING, which has no completion, is open for its length.
//
// [docs/redis.md]: https://github.com/streamlease/streamlease/blob/main/docs/redis.md
package notice
