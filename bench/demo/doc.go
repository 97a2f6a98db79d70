// Demo is the main job, to watch: it starts a private server and announces 10,000 data streams with entries in them. Two
// processes, itself and a child, own half of them each for some seconds. Then it kills the child with SIGKILL, shows how
// its streams find their new owner and what that took, proves that none was lost and none had two owners, and hands all
// back. It leaves nothing behind.
//
// It exits with 0 if no stream was lost, 130 if it was interrupted, else 1.
package main
