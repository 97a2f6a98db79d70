package balance_test

import (
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/engine/balance"
)

// The simulation goes in steps. What is too short for them is added to waits as it was measured on real servers.
const (
	step      = 50 * time.Millisecond
	second    = int32(time.Second / step)
	block     = 9 * second / 2   // of a read
	ttl       = 10 * second      // of a session
	readBatch = 1000             // entries of a read
	takes     = 89_000 / 20      // streams that a process takes in a step
	handsBack = 15_000 / 20      // streams that a process which drains hands back in a step
	hop       = 3                // ms from requeueing to acquisition, if somebody waits in a read
	recovers  = 5 * handsBack    // streams that are recovered in a step
	scanDelay = 2 * second       // the longest time from the end of a session to its recovery
	never     = int32(1<<31 - 1) // step that does not come
)

func clock(steps int32) time.Duration { return time.Duration(steps) * step }

// fleet is a service in virtual time: its partitions, its processes, and what they tell each other by Redis.
type fleet struct {
	*streams
	config     balance.Config
	random     *rand.Rand
	now        int32
	partitions []partition
	processes  []*process // all that ever were
	live       []*process
	full       []*process // those of them that have left the sums
	beats      [second][]*process
	later      map[int32][]int32 // streams that come back, by step
	dead       []*process        // not yet recovered
	books      books
	frozen     bool                     // an operator's wish
	handler    func(stream int32) int32 // steps until a handler ends that was told Releasing; nil: 0
	measured
}

// partition is an input stream with those who wait in a read of it.
type partition struct {
	queue   list // undelivered
	streams int  // in all, as XLEN counts
	waiting []read
	takes   int // in this step
}

// read is a blocked read. It is void when its process has another sequence there.
type read struct {
	process  *process
	sequence int32
	count    int
}

// books is what is kept in Redis about the fleet. A process is in all partitions or in none, so it is kept once.
type books struct {
	weight  int64 // in thousandths
	changes int64
	fills   map[*process]float64
	least   float64 // of fills, if not stale
	stale   bool
}

func newFleet(c balance.Config, streams, room, partitions int) *fleet {
	f := &fleet{
		streams: newStreams(streams, room, partitions), config: c.WithDefaults(), random: rand.New(rand.NewPCG(*seed, uint64(streams))),
		partitions: make([]partition, partitions), later: make(map[int32][]int32), books: books{fills: make(map[*process]float64), stale: true},
	}
	f.startMeasuring()
	return f
}

// announce puts all streams that nobody has yet into their input streams.
func (f *fleet) announce() {
	for i := range f.owner {
		if f.owner[i] == 0 && len(f.processes) == 0 {
			f.fresh[i] = true
			f.partitions[f.partition(int32(i))].streams++
			f.enqueue(int32(i))
		}
	}
}

func (f *fleet) enqueue(stream int32) {
	f.owner[stream], f.since[stream] = undelivered, f.now
	f.push(&f.partitions[f.partition(stream)].queue, stream)
}

// run lets so many seconds pass.
func (f *fleet) run(seconds float64) {
	for end := f.now + int32(seconds*float64(second)); f.now < end; {
		f.step()
	}
}

func (f *fleet) step() {
	f.now++
	for i := range f.partitions {
		f.partitions[i].takes = 0
	}
	for _, stream := range f.later[f.now] {
		f.partitions[f.partition(stream)].streams++
		f.enqueue(stream)
	}
	delete(f.later, f.now)
	for _, p := range f.beats[f.now%second] {
		f.beat(p)
	}
	f.recover()
	for _, p := range f.live {
		p.taken = 0
		f.work(p)
	}
	for i := range f.partitions {
		if f.partitions[i].queue.n > 0 {
			f.serve(i)
		}
	}
	if f.now%second == 0 {
		f.sample()
	}
}

// serve gives what is undelivered to those who wait, first come, first served: one entry each, since that is what a blocked
// read asks for. Whoever got one reads on at once, and then shares what is left with the others that do.
func (f *fleet) serve(i int) {
	part := &f.partitions[i]
	var done []*process // those that have taken what they can in this step
	for part.queue.n > 0 && len(part.waiting) > 0 {
		r := part.waiting[0]
		part.waiting = part.waiting[1:]
		p := r.process
		if p.reads[i].sequence != r.sequence {
			continue
		}
		p.reads[i].until = idle
		n := 1
		if p.taken > 0 {
			n += part.queue.n / (len(part.waiting) + 1)
		}
		n = min(n, r.count, part.queue.n, takes-p.taken)
		if n <= 0 {
			done = append(done, p)
			continue
		}
		f.take(p, i, n)
		f.ask(p, i)
	}
	for _, p := range done {
		f.ask(p, i)
	}
}

// take gives n undelivered streams of a partition to p, which learns at once what acquisitions answer.
func (f *fleet) take(p *process, i, n int) {
	part := &f.partitions[i]
	for range n {
		stream := part.queue.head
		f.remove(&part.queue, stream)
		part.takes++
		f.took(stream, f.now-f.since[stream], part.takes)
		f.owner[stream], f.since[stream] = int16(p.number), f.now
		f.push(&p.holds[i], stream)
	}
	p.held += n
	p.taken += n
	p.gained += n
	f.received(p)
	p.view[i] = f.answer(i)
	f.learned(p)
}

// answer is what a script answers about a partition.
func (f *fleet) answer(i int) balance.Part {
	part := balance.Part{Total: f.partitions[i].streams, Weight: float64(f.books.weight) / 1000, Least: f.books.leastFill()}
	for _, p := range f.full {
		part.Total -= p.holds[i].n
	}
	return part
}

// age returns for how long the oldest undelivered entry of a partition has waited.
func (f *fleet) age(i int) time.Duration {
	if f.partitions[i].queue.n == 0 {
		return 0
	}
	return clock(f.now - f.since[f.partitions[i].queue.head])
}

func (b *books) setFill(p *process, fill float64) {
	before, known := b.fills[p]
	b.fills[p] = fill
	switch {
	case b.stale:
	case fill <= b.least:
		b.least = fill
	case known && before <= b.least:
		b.stale = true
	}
}

func (b *books) dropFill(p *process) {
	delete(b.fills, p)
	b.stale = true
}

func (b *books) leastFill() float64 {
	if b.stale {
		b.least, b.stale = -1, false
		for _, fill := range b.fills {
			if b.least < 0 || fill < b.least {
				b.least = fill
			}
		}
	}
	return b.least
}
