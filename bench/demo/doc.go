// Demo is the main job, to watch: it starts a private server, announces 10,000 data streams with entries in them, owns them
// in this one process for some seconds, proves that none was lost, and hands them all back. It leaves nothing behind.
//
// It exits with 0 if no stream was lost, 130 if it was interrupted, else 1.
package main
