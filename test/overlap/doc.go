// Package overlap checks, from the records of all parties, that a data stream never had two owners at once and that
// tokens rose from each ownership to the next.
//
// A party is whoever owns streams: an engine in a test, or a process. It records what it believed of itself, by looking
// at its leases ([Recorder.Look]) and never at what anybody else says. [Check] then compares the records of all.
package overlap
