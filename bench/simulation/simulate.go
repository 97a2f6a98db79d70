package simulation

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Load is the cost of renewing.
type Load struct {
	Scripts         float64 // a second, of the fleet
	Leases          float64 // a second, of the fleet
	LeasesPerScript float64
	PerMaster       float64       // scripts a second, the mean
	Busiest         float64       // scripts a second of the busiest master
	CPU             float64       // share of a core, the mean over masters
	BusiestCPU      float64       // likewise, of the busiest master
	Wait            time.Duration // the longest wait of a script, behind those of its tick and earlier ones
	Behind          time.Duration // work that waits in the end, at the master where most does: more than a tick means that it cannot keep up
}

// Recovery is how the streams of dead pods are recovered.
type Recovery struct {
	Lost     int // pods
	Streams  int // of the dead pods
	Left     int // streams that are not owned again after Patience: the masters have no time left
	P50, P99 time.Duration
	Max      time.Duration // until the last stream is owned again; this and the percentiles only where that many are (Reached)
	Noticed  time.Duration // until the last dead pod is noticed in the last partition
	CPU      float64       // share of a core of the busiest master, in its busiest second
	Wait     time.Duration // the longest wait of a renewal
	Held     int           // streams of the survivor that holds most afterwards
}

// fleet is the state of a simulation. Times are ticks.
type fleet struct {
	Config
	random  *rand.Rand
	span    int      // ticks of a renewal interval
	ring    []uint16 // leases due, by pod, partition and tick modulo its length
	slots   int
	last    []int32 // when a pod last sent to a partition
	held    []int   // by pod
	dead    []bool
	now     int
	queue   []time.Duration // waiting work, by master
	scripts []int           // by master, since the last reset
	leases  int
	served  []time.Duration // by master, in this tick
}

func newFleet(c Config) *fleet {
	f := &fleet{
		Config: c, random: rand.New(rand.NewPCG(c.Seed, 1)), span: c.ticks(c.interval()),
		last: make([]int32, c.Pods*c.Partitions), held: make([]int, c.Pods), dead: make([]bool, c.Pods),
		queue: make([]time.Duration, c.Masters), scripts: make([]int, c.Masters), served: make([]time.Duration, c.Masters),
	}
	f.slots = f.span + 2
	f.ring = make([]uint16, c.Pods*c.Partitions*f.slots)
	for pod := range c.Pods {
		f.held[pod] = c.PerPod
		for range c.PerPod {
			f.arm(pod, f.random.IntN(c.Partitions), 1+f.random.IntN(f.span))
		}
	}
	return f
}

// arm makes a lease due after that many ticks.
func (f *fleet) arm(pod, partition, after int) {
	f.ring[(pod*f.Partitions+partition)*f.slots+(f.now+after)%f.slots]++
}

// step advances by one tick: pods send what is due, and masters work on their queues.
func (f *fleet) step() {
	f.now++
	beat := int32(f.ticks(f.beat()))
	slot := f.now % f.slots
	early := jitterShare * float64(f.span)
	for pod := range f.Pods {
		if f.dead[pod] {
			continue
		}
		for partition := range f.Partitions {
			pair := pod*f.Partitions + partition
			due := int(f.ring[pair*f.slots+slot])
			if due == 0 && int32(f.now)-f.last[pair] < beat {
				continue
			}
			f.ring[pair*f.slots+slot] = 0
			f.last[pair] = int32(f.now)
			f.send(partition, max(1, (due+f.MaxBatch-1)/f.MaxBatch), due)
			for range due {
				f.arm(pod, partition, f.span-int(early*f.random.Float64()))
			}
		}
	}
	for m := range f.queue {
		f.served[m] = min(f.queue[m], f.Tick)
	}
}

func (f *fleet) send(partition, scripts, leases int) {
	m := partition % f.Masters
	f.scripts[m] += scripts
	f.leases += leases
	f.queue[m] += time.Duration(scripts)*f.Script + time.Duration(leases)*f.Lease
}

// work ends a tick: served work leaves the queues.
func (f *fleet) work() {
	for m := range f.queue {
		f.queue[m] -= f.served[m]
	}
}

// Renewing simulates a fleet that only holds its streams, for a virtual time of d.
func Renewing(c Config, d time.Duration) (l Load, err error) {
	if err := c.Validate(); err != nil {
		return l, err
	}
	f := newFleet(c)
	for range f.span { // the first interval spreads the renewals
		f.step()
		f.work()
	}
	clear(f.scripts)
	f.leases = 0
	ticks := max(c.ticks(d), 1)
	busy := make([]time.Duration, c.Masters)
	for range ticks {
		f.step()
		for m := range busy {
			busy[m] += f.served[m]
			l.Wait = max(l.Wait, f.queue[m])
		}
		f.work()
	}
	l.Behind = slices.Max(f.queue)
	took := (time.Duration(ticks) * c.Tick).Seconds()
	scripts := 0
	for _, n := range f.scripts {
		scripts += n
	}
	l.Scripts, l.Leases = float64(scripts)/took, float64(f.leases)/took
	l.LeasesPerScript = l.Leases / l.Scripts
	l.PerMaster, l.Busiest = l.Scripts/float64(c.Masters), float64(slices.Max(f.scripts))/took
	for _, b := range busy {
		l.CPU += b.Seconds() / took / float64(c.Masters)
	}
	l.BusiestCPU = slices.Max(busy).Seconds() / took
	return l, nil
}
