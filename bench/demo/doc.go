// Command demo shows what the library does: it starts a private server and announces 10,000 data streams with messages in them. Two
// processes, itself and a child, own half of them each for some seconds, and read them. Then it kills the child with SIGKILL, shows how its streams are
// taken over and read on, and what that cost, proves that none was lost and none had two owners, and hands all of them back. It leaves nothing
// behind.
//
// It exits with 0 if no stream was lost, with 130 if it was interrupted, else with 1.
package main
