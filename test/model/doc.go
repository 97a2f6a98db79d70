// Package model runs the protocol at random against a real server and compares what happens with a naive model: a few
// consumers that keep a few rules and nothing else, announcements that are somewhere or done, and ownerships with tokens.
//
// Every call of a consumer is sent, runs and is answered in steps of their own, with anything in between: time, other
// calls, the loss of the request or of the answer, the same call once more or much later, a server that restarts or
// fails over and has forgotten the last writes. After each step nobody may own what another one owns (G1), each
// announcement is in exactly one place unless it is done (G2), and tokens rise (G3).
//
// In two runs of three the processes of the fleet have TTLs of their own, which are being changed to and fro, and what a
// successor has forgotten is no older than the greatest session TTL it knows; in one of four the server's clock is set back
// at times. Else all have the usual TTLs, and a successor may have forgotten as much as it likes.
//
// Time is virtual: to let time pass, all deadlines on the server are moved the other way.
package model
