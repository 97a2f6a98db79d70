// Package suite is the measurements of the bench command, one a file: hold, size, take, done, compare, failover, scan,
// churn, pipeline, and the simulation, scale. Each runs against private servers unless it is told of another one, reports figures with the goal beside them,
// and fails only when a stream was lost or had two owners.
//
// Soak measures little: it is after those failures, with troubles at random, and fails when anything is left on the server too.
// A run is rounds (round), in which troubles strike places (place), where workers do jobs (job). At the end of each round the
// journals are audited (audit), and it is looked at what is left (left).
package suite
