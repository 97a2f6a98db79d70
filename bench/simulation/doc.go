// Package simulation simulates fleets that are too large for one machine: when their processes renew, what that costs the masters, and how
// others take over the streams of dead processes. Time is virtual, no server is involved, and the same seed gives the same result.
// [Config.Assumptions] are to be printed beside every result.
package simulation
