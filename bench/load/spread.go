package load

import (
	"fmt"
	"math/rand/v2"
)

// Spread is how messages are spread over streams.
type Spread string

const (
	// Even gives each stream as many, in turn, in an order without a pattern.
	Even Spread = "even"
	// Zipf gives the k-th most busy stream a share in proportion to k^-1.1: of 10,000 streams, the first one gets 15 %, the first hundred
	// two thirds.
	Zipf Spread = "zipf"
)

const zipfExponent = 1.1

// ParseSpread returns the spread of that name.
func ParseSpread(name string) (Spread, error) {
	switch s := Spread(name); s {
	case Even, Zipf:
		return s, nil
	}
	return "", fmt.Errorf("%q is neither %s nor %s", name, Even, Zipf)
}

// chooser returns a function that returns the number of the next stream, of n. What it returns is the same for the same seed.
func (s Spread) chooser(n int, seed uint64) func() int {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	order := random.Perm(n)
	if s == Zipf && n > 1 {
		z := rand.NewZipf(random, zipfExponent, 1, uint64(n-1))
		return func() int { return order[z.Uint64()] }
	}
	next := 0
	return func() int {
		i := order[next]
		next = (next + 1) % n
		return i
	}
}
