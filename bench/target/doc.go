// Package target is the Redis on which something is measured: a private server, or somebody's own under a given URL. It makes the names
// that belong to a measurement there, and removes them when it is over.
package target
