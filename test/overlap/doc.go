// Package overlap checks, from the records of all parties, that a data stream never had two owners at once and that
// tokens rose from each ownership to the next.
//
// A party is anything that owns streams: an engine in a test, or a process. It records what it believed about itself, by
// looking at its own leases ([Recorder.Look]) and at nothing else. [Check] then compares the records of all parties.
package overlap
