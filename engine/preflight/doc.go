// Package preflight checks the servers that an engine will use, before it does, and reports what would keep the engine from
// working, what may cause trouble later, and what is good to know. Programs call it as engine.Preflight, people as the command
// "bench preflight".
//
// It only reads. Whether a command is allowed is asked of the server (ACL DRYRUN, from Redis 7.0 on, if the user may run it), or
// found by trying the command in a form that the server refuses for its arguments, after it has checked the access rights. Each
// finding says what was seen and what to do. What may not be looked at is reported as unknown, which is no fault.
//
// Where to find what: [Check] calls everything else (preflight.go). It asks each node about itself (node.go), and takes the
// answers subject by subject: reach.go, server.go, events.go, topology.go, clock.go, layout.go and access.go, each of which adds
// findings to the [Report] (report.go). [Right] lists the commands and keys that are used (right.go); probe.go asks a node whether
// they are allowed, and answer.go reads the answers. What engine/feed takes besides is in reads.go, and streams.go looks for it.
package preflight
