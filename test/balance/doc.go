// Package balance tests on real servers how a fleet shares its streams: who takes what comes, and what operators wish. Its tests wait for
// what must become true, or bound what may, and assert nothing about how long it takes; engine/balance simulates that in virtual time.
package balance
