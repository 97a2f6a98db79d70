// Package simulation simulates fleets that no machine here can hold: when every process of it renews, what that costs the masters,
// and how the streams of dead processes come to others. Time is virtual, no server is involved, and the same seed gives the
// same result. What it assumes is in [Assumptions], to be printed beside every result.
package simulation
