// Package model runs the protocol at random against a real server and compares the result with a naive model: a few consumers
// that follow a few rules and nothing else, announcements that are either somewhere or done, and ownerships with tokens.
//
// Sending, running and answering a call of a consumer are separate steps, and anything can happen in between: time passes, other
// calls run, the request or the reply is lost, the same call runs again, even much later, the server restarts or fails over and
// forgets the last writes. After each step no stream has two owners (G1), each announcement is in exactly one place unless it is
// done (G2), tokens rise (G3), and no checkpoint is stored over a later one, nor by an owner whose token was replaced.
//
// In two of three runs the processes of the fleet have different TTLs, which change back and forth, and a successor has forgotten
// at most as much as fits into the greatest session TTL it knows; in one of four the server's clock is set back at times. Otherwise
// all processes have the usual TTLs, and a successor may have forgotten anything.
//
// Time is virtual: to let time pass, all deadlines on the server are moved the other way.
package model
