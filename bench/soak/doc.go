// Package soak runs pods for a long time while troubles strike at random, and fails when a stream had two owners, was lost, or when
// anything is left on the server. It measures little: it looks for those failures.
//
// A run is rounds (round). In a round, troubles (trouble) strike places (place), where pods work, the server (outage, clock) and
// what is on it: producers send what nobody should (poison), and operators do by hand what they should not (operator). Each round
// ends in a calm (calm), after which the server is searched for what is left (left, letter). Then the journals are audited (audit).
// A loss that an operator caused before anybody could notice is excused (excuse).
//
// Another kind of run has processes keep their streams while they come and go (fleet): a round is a storm over a gathering of
// processes, and a calm in which each stream must have an owner and shares become even (gathering).
package soak
