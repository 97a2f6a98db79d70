// Package backing names what a feed stands on: what reads, and what ends leases. Package feed uses the real things; feedtest puts
// its own in their place, through the hook here, since programs have no use for it.
package backing
