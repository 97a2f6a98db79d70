// Package suite is the measurements of the bench command, one a file: hold, take, done, failover, scan. Each runs against
// private servers, reports figures with the goal beside them, and fails only when a stream was lost or had two owners.
package suite
