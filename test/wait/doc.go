// Package wait waits for conditions on real servers and in real time. Tests that can run in virtual time do not need it.
package wait
