// Package trouble lists what can happen to a process that owns streams, and to its link to the server: SIGKILL, an orderly
// end, SIGSTOP, and links that are cut, stall, are slow or lose a reply. Tests and measurements that inject faults at random
// share this one table.
package trouble
