// Package outbox hands values to a hook of the user on a goroutine of its own, so that whoever posts them never waits for the
// hook. In an engine hooks are the function of WithEvents and the handler of the log; handlers of notifications are called by
// package dispatch.
package outbox
