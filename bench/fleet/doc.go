// Command fleet runs a fleet to look at: a private server, processes that own some thousand streams, producers, schedules, and something of
// everything that an operator meets. Its processes are started, killed and deployed by words on its input.
package main
