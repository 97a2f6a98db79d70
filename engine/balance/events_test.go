package balance_test

import (
	"math/rand/v2"
	"slices"

	"github.com/streamlease/streamlease/engine/balance"
)

// join starts a process.
func (f *fleet) join(weight float64, change ...func(*process)) *process {
	p := &process{
		number: len(f.processes), holds: make([]list, len(f.partitions)), reads: make([]blocked, len(f.partitions)), born: f.now,
		mine: weight, view: make([]balance.Part, len(f.partitions)), receiver: true,
		shedder: balance.NewShedder(f.config, rand.New(rand.NewPCG(*seed+1, uint64(len(f.processes)))).Float64),
	}
	for i := range p.reads {
		p.reads[i].until = idle
	}
	for _, c := range change {
		c(p)
	}
	f.processes, f.live = append(f.processes, p), append(f.live, p)
	phase := f.random.IntN(int(second))
	f.beats[phase] = append(f.beats[phase], p)
	if p.old {
		p.receiver = false
		p.counted = 1000
		f.books.weight += 1000
	} else {
		f.publish(p)
	}
	f.books.changes++
	for i := range p.view {
		p.view[i] = f.answer(i)
	}
	f.learned(p)
	f.askAll(p)
	return p
}

func old(p *process) { p.old = true }

func crashed(times int) func(*process) { return func(p *process) { p.crashes = times } }

// joinAll starts n processes with weight 1, all at once.
func (f *fleet) joinAll(n int) []*process {
	var all []*process
	for range n {
		all = append(all, f.join(1))
	}
	return all
}

// settled makes a fleet of n processes that have held all streams for some minutes, each its share.
func settled(c balance.Config, n, streams, room, partitions int) *fleet {
	f := newFleet(c, streams, room, partitions)
	for range n {
		f.join(1, func(p *process) { p.born, p.receiver = -200*second, false })
	}
	order := f.random.Perm(streams)
	f.deal(func(i int) int { return order[i] % n }, streams)
	return f
}

// deal gives each of the first streams to a process.
func (f *fleet) deal(to func(stream int) int, streams int) {
	f.now = 300 * second
	for i := range streams {
		p := f.processes[to(i)]
		f.owner[i], f.since[i] = int16(p.number), f.now-200*second
		f.push(&p.holds[f.partition(int32(i))], int32(i))
		p.held++
		f.partitions[f.partition(int32(i))].streams++
	}
	for _, p := range f.live {
		if !p.old {
			f.publish(p)
		}
	}
	// Three minutes of beats, so that nobody takes the start for a change.
	f.run(180)
	f.startMeasuring()
}

// drain has a process leave as it should.
func (f *fleet) drain(p *process) {
	lead := p.share.LeadOf(p.held, 20*clock(second))
	if f.config.Gate == balance.Off || p.old {
		lead = 0
	}
	p.draining, p.until = true, f.now+int32(lead/step)
	f.silence(p)
	if p.old {
		p.counted, f.books.weight = 0, f.books.weight-p.counted
	} else {
		f.publish(p)
	}
	f.books.changes++
}

// silence voids p's reads.
func (f *fleet) silence(p *process) {
	for i := range p.reads {
		p.reads[i] = blocked{p.reads[i].sequence + 1, idle}
	}
}

// kill ends a process without its doing.
func (f *fleet) kill(p *process) {
	f.silence(p)
	f.crashes += p.held
	p.recoverAt = f.now + ttl + int32(f.random.IntN(int(scanDelay)))
	f.forget(p)
	f.dead = append(f.dead, p)
}

// forget takes p off the living.
func (f *fleet) forget(p *process) {
	f.live, f.full = without(f.live, p), without(f.full, p)
	for i := range f.beats {
		f.beats[i] = without(f.beats[i], p)
	}
}

// without returns a copy, since the list may be walked at this moment.
func without(all []*process, p *process) []*process {
	return slices.DeleteFunc(slices.Clone(all), func(q *process) bool { return p == q })
}

// recover requeues what the dead have left. Because it was held during a crash, it comes back with a delay.
func (f *fleet) recover() {
	f.dead = slices.DeleteFunc(f.dead, func(p *process) bool {
		if f.now < p.recoverAt {
			return false
		}
		if f.now == p.recoverAt {
			f.books.weight -= p.counted
			p.counted = 0
			f.books.dropFill(p)
			f.books.changes++
		}
		for _, r := range p.leaving {
			f.leaving[r.stream] = false
			f.putOff(p, r.stream)
		}
		p.leaving = nil
		for i, n := range balance.Spread(recovers, p.heldIn()) {
			for ; n > 0; n-- {
				stream := p.holds[i].head
				f.remove(&p.holds[i], stream)
				f.putOff(p, stream)
			}
		}
		return p.held == 0
	})
}

func (f *fleet) putOff(p *process, stream int32) {
	p.held--
	f.owner[stream] = putOff
	f.partitions[f.partition(stream)].streams--
	due := f.now + second/2 + int32(f.random.IntN(int(second)))
	f.later[due] = append(f.later[due], stream)
}

// end ends a stream at random. If it is nobody's now, nothing ends.
func (f *fleet) end() bool {
	return f.endOne(int32(f.random.IntN(len(f.owner))))
}

func (f *fleet) endOne(stream int32) bool {
	if f.owner[stream] < 0 || f.leaving[stream] || slices.Contains(f.dead, f.processes[f.owner[stream]]) {
		return false
	}
	p, i := f.processes[f.owner[stream]], f.partition(stream)
	f.remove(&p.holds[i], stream)
	p.held--
	f.partitions[i].streams--
	f.owner[stream] = ended
	f.count(stream)
	f.free = append(f.free, stream)
	return true
}

// arrive announces a stream that was not there.
func (f *fleet) arrive() {
	stream := f.free[len(f.free)-1]
	f.free = f.free[:len(f.free)-1]
	f.fresh[stream] = true
	f.arrivals++
	f.partitions[f.partition(stream)].streams++
	f.enqueue(stream)
}
