// Package target is the Redis on which something is measured: a private server, or a server of somebody else at a URL. It chooses the
// names of the keys that a measurement makes there, and deletes these keys afterwards.
package target
