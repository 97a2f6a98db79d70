// Package trouble is what can happen to a process that owns streams, and to its link to the server: SIGKILL, a good end,
// standing still, and links that are cut, stall, are slow or lose an answer. Tests and measurements that have things
// happen at random draw from this one table.
package trouble
