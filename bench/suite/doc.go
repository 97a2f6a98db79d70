// Package suite is the measurements of the bench command, one a file: hold, size, take, done, compare, failover, scan,
// churn, pipeline, and the simulation, scale. Each runs against private servers unless it is told of another one, reports figures with the goal beside them,
// and fails only when a stream was lost or had two owners.
//
// Soak measures little: it is after those failures, with troubles at random, and fails when anything is left on the server too.
// A run is rounds (round), in which troubles (trouble) strike places (place), where workers do jobs (job), the server (outage,
// clock) and what is on it: producers send what nobody should (poison), and operators do by hand what they should not (operator). Each
// round ends in a calm (calm), in which it is looked at what is left (left, letter). Then the journals are audited (audit); what an
// operator took when nobody could know of it is excused (excuse).
package suite
