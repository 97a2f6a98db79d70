// Package backoff computes the delays between retries: [Exponential] doubles them up to a limit and takes a random share
// off, so that processes that failed together do not all retry together. It keeps no state: the caller counts the
// failures and supplies the random number, so tests control both.
//
// It is for this module and may change in any version.
package backoff
