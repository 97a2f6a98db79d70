// Package reading reads the streams that one process owns, 100,000 of them if need be, over one connection to each master. It knows
// no lease, no handler and no checkpoint: a [Source] says from where a stream is to be read, and what becomes of it.
package reading
