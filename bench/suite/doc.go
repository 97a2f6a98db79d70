// Package suite is the measurements of the bench command, one a file: hold, size, take, done, compare, failover, scan, churn, pipeline,
// and the simulation, scale. Each runs against private servers unless it is given another one, reports figures with the goal beside
// them, and fails only when a stream was lost or had two owners.
package suite
