package simulation

import (
	"errors"
	"fmt"
	"time"
)

// Config is a fleet, and what its operations cost.
type Config struct {
	Pods       int
	PerPod     int // streams of each
	Partitions int
	Masters    int           // partition p is on master p modulo Masters
	LeaseTTL   time.Duration // leases are renewed every third of it, as in the engine
	SessionTTL time.Duration
	Tick       time.Duration
	MaxBatch   int
	Seed       uint64

	Script   time.Duration // time of a master for a script, whatever is in it
	Lease    time.Duration // time of a master for each lease in a script
	Move     time.Duration // time of a master for a stream of a dead pod: recovered and taken by another one
	MoveRate float64       // streams a second that one recoverer brings back at most
}

// Figures of the engine.
const (
	renewalsPerTTL  = 3
	jitterShare     = 0.1 // share of the interval by which a renewal may be early
	beatsPerSession = 5
	maxBeat         = time.Second
)

func (c Config) interval() time.Duration { return c.LeaseTTL / renewalsPerTTL }
func (c Config) beat() time.Duration     { return min(maxBeat, c.SessionTTL/beatsPerSession) }
func (c Config) ticks(d time.Duration) int {
	return int(d / c.Tick)
}

// limits keep a simulation within the memory of a small machine.
const (
	maxPairs   = 4_000_000 // pods * partitions
	maxStreams = 200_000_000
	maxRing    = 1 << 28 // bytes
)

// Validate returns an error that names the first field that is out of range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"Pods", c.Pods}, {"PerPod", c.PerPod}, {"Partitions", c.Partitions}, {"Masters", c.Masters}, {"MaxBatch", c.MaxBatch}} {
		if f.value < 1 {
			return fmt.Errorf("simulation: %s: %d is not at least 1", f.name, f.value)
		}
	}
	switch {
	case c.Masters > c.Partitions:
		return fmt.Errorf("simulation: Masters: %d masters have nothing to do with %d partitions", c.Masters, c.Partitions)
	case c.Pods > maxPairs/c.Partitions:
		return fmt.Errorf("simulation: Pods: %d pods on %d partitions are more than %d pairs", c.Pods, c.Partitions, maxPairs)
	case c.PerPod > maxStreams/c.Pods:
		return fmt.Errorf("simulation: PerPod: %d pods of %d streams are more than %d streams", c.Pods, c.PerPod, maxStreams)
	case c.Tick <= 0, c.interval() < 2*c.Tick:
		return fmt.Errorf("simulation: Tick: %v is not between 0 and half of the renewal interval, %v", c.Tick, c.interval())
	case c.SessionTTL < beatsPerSession*c.Tick:
		return fmt.Errorf("simulation: SessionTTL: %v is below %d ticks of %v", c.SessionTTL, beatsPerSession, c.Tick)
	case c.Pods*c.Partitions*(c.ticks(c.interval())+2)*2 > maxRing:
		return fmt.Errorf("simulation: Tick: %v is too short for a fleet of that size", c.Tick)
	case c.Script < 0, c.Lease < 0, c.Move <= 0, c.MoveRate <= 0:
		return errors.New("simulation: Script and Lease must not be below 0, Move and MoveRate must be above")
	}
	return nil
}

// Assumptions returns the assumptions on which the result rests.
func (c Config) Assumptions() []string {
	return []string{
		"streams are spread evenly over partitions, and partitions over masters",
		fmt.Sprintf("a lease is renewed every %v, up to a tenth sooner, and first at a random time", c.interval()),
		fmt.Sprintf("a pod sends a script to a partition in each tick of %v in which a lease there is due, or when it sent none for %v", c.Tick, c.beat()),
		"a master runs one script after the other on one core that does nothing else, and is always reachable",
		fmt.Sprintf("costs: %v a script, %v a lease in it, %v a stream that moves", c.Script, c.Lease, c.Move),
		"pods die at once, without notice; a survivor learns of it with its first script after the session has ended, waits up to a quarter of a beat, and then each survivor looks once",
		fmt.Sprintf("each dead pod has a recoverer of its own in each partition, which brings back up to %.0f streams a second", c.MoveRate),
		"renewals come before recovery; what moves goes to a random survivor and is renewed by it from then on",
		"networks take no time",
	}
}
