// Package starting tests what an engine and a publisher say when they start and something is not as it has to be: servers that are
// away, too old, or no Redis at all, users without rights, services with a mistake in their name.
package starting
