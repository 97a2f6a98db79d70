// Package due keeps what is to be done at a later time, in the order in which it was queued. It is passive: the time is an argument.
package due
