// Package preflight looks at the servers that an engine is to work on, before it does, and says what would keep it from
// working, what would hurt it some day, and what is worth knowing. Programs call it as engine.Preflight, people as the
// command "bench preflight".
//
// It reads only. Whether a command is allowed is asked of the server (ACL DRYRUN, from Redis 7.0 on, where the user may), or
// tried in a form that the server refuses for its arguments, after it has looked at the rights. Each finding says what was
// seen and what to do. What may not be looked at is said to be unknown, and is no fault.
//
// One noun a file: a [Report] of findings (report.go); what a node says of itself (node.go); [Right], the commands and keys
// that are used (right.go), and who may use them (probe.go); then what is made of it, subject by subject.
package preflight
