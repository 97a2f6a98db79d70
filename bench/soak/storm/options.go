package storm

import (
	"math/rand/v2"
	"time"
)

// Options say whom troubles strike, and for how long.
type Options struct {
	For        time.Duration // how long troubles strike
	Processes  int
	Partitions int
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Seed       uint64 // of all random choices; 0: chosen at random
	Spare      bool   // the cluster: troubles strike processes only
}

// ChooseSeed chooses a seed where none is given.
func (o *Options) ChooseSeed() {
	for o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) // short enough to type
	}
}

// Rand makes random choices that depend on the seed only. Who chooses has a stream of its own: 0 the troubles of servers, then those of each
// process, and from 1<<32 on the work.
func (o *Options) Rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(o.Seed, stream)) }
