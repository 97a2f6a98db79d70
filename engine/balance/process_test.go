package balance_test

import (
	"math"
	"slices"

	"github.com/streamlease/streamlease/engine/balance"
)

const idle = int32(-1) // no read is blocked

// process is one member of a fleet.
type process struct {
	number int
	holds  []list // by partition, longest held first
	held   int
	reads  []blocked
	born   int32
	taken  int // in this step
	gained int // since it started

	newcomer balance.Newcomer

	mine     float64 // weight that the user gave it
	counted  int64   // in the books, in thousandths
	crashes  int     // before it started
	limit    int     // MaxStreams, 0: none
	paused   bool
	full     bool // it has left the sums, and what it holds, too
	old      bool // an older version, which knows nothing of all this
	deaf     bool // it is counted, and does not read: a fault
	draining bool
	until    int32 // end of the lead

	view    []balance.Part
	share   balance.Share
	shedder *balance.Shedder
	meter   balance.Meter
	pace    balance.Pace
	leaving []release

	recoverAt int32 // if it is dead
	receiver  bool  // joined after the start of measuring
}

// blocked is a read of a process in one partition.
type blocked struct {
	sequence int32
	until    int32
}

// release is a stream whose handler was told Releasing.
type release struct{ stream, asked, ends int32 }

// weight is what is counted of p.
func (p *process) weight() float64 { return float64(p.counted) / 1000 }

// ramped is the weight that p has if it shares.
func (f *fleet) ramped(p *process) float64 {
	return p.mine * balance.Ramp(p.crashes, clock(f.now-p.born))
}

// beat reports p's standing and takes in what is answered.
func (f *fleet) beat(p *process) {
	if p.old || p.draining {
		if !p.draining {
			f.askAll(p)
		}
		return
	}
	before := p.full
	p.full = p.paused || p.limit > 0 && p.held >= p.limit && balance.Full(f.ramped(p), p.held, p.view)
	if p.full != before {
		f.full = slices.DeleteFunc(f.full, func(q *process) bool { return p == q })
		if p.full {
			f.full = append(f.full, p)
		}
	}
	f.publish(p)
	waited := clock(0)
	for i := range p.view {
		p.view[i] = f.answer(i)
		waited = max(waited, f.age(i))
	}
	f.learned(p)
	p.pace = p.shedder.Look(balance.Look{
		Now: clock(f.now), Share: p.share, Held: p.held, Changes: f.books.changes, Settled: true, Frozen: f.frozen, Waited: waited,
	})
	f.askAll(p)
	if f.room(p) == 0 && !p.paused && !p.deaf {
		f.readLeftovers(p)
	}
}

// learned draws conclusions from an answer, which p.view has already.
func (f *fleet) learned(p *process) {
	p.share = balance.ShareOf(p.weight(), p.view)
	p.newcomer.Answered(clock(f.now), f.books.changes)
}

// publish writes p's weight and fill into the books.
func (f *fleet) publish(p *process) {
	weight := int64(0)
	if !p.full && !p.draining {
		weight = max(1, int64(math.Round(f.ramped(p)*1000)))
	}
	f.books.weight += weight - p.counted
	p.counted = weight
	if weight == 0 {
		f.books.dropFill(p)
	} else {
		f.books.setFill(p, float64(p.held)/p.weight())
	}
}

// room returns how many streams p may take now.
func (f *fleet) room(p *process) int {
	if p.draining || p.paused || p.deaf {
		return 0
	}
	room := math.MaxInt
	if f.config.Gate == balance.On && !p.old {
		room = p.share.Room(p.held)
		room = min(room, p.newcomer.Room(p.share.Total, p.gained))
	}
	if p.limit > 0 {
		room = min(room, max(0, p.limit-p.held))
	}
	return room
}

func (f *fleet) askAll(p *process) {
	for i := range p.reads {
		f.ask(p, i)
	}
}

// ask blocks in a read, unless p does so already, or has no room. The count of a read that is blocked stays as it is.
func (f *fleet) ask(p *process, i int) {
	r := &p.reads[i]
	if r.until > f.now {
		return
	}
	count := min(balance.PerRead(f.room(p), len(p.reads)), readBatch)
	r.sequence++
	r.until = idle
	if count > 0 {
		r.until = f.now + block/2 + int32(f.random.IntN(int(block/2)))
		f.partitions[i].waiting = append(f.partitions[i].waiting, read{p, r.sequence, count})
	}
}

// readLeftovers reads what nobody with room has read for a while.
func (f *fleet) readLeftovers(p *process) {
	left := balance.Leftovers
	for i := range f.partitions {
		n := min(left, p.share.Leftover(p.held, f.age(i)), f.partitions[i].queue.n)
		if p.limit > 0 {
			n = min(n, max(0, p.limit-p.held))
		}
		if n > 0 {
			f.take(p, i, n)
			f.leftovers += n
			left -= n
		}
	}
}

// work is what p does between beats.
func (f *fleet) work(p *process) {
	p.leaving = slices.DeleteFunc(p.leaving, func(r release) bool {
		if r.ends > f.now {
			return false
		}
		f.leaving[r.stream] = false
		f.requeue(p, r.stream)
		return true
	})
	switch {
	case p.draining:
		f.handBack(p)
	case p.pace.Rate > 0:
		f.shed(p)
	}
}

// shed gives back what the pace allows, longest held first.
func (f *fleet) shed(p *process) {
	leaving := 0
	for _, r := range p.leaving {
		if clock(f.now-r.asked) < balance.AskAgain {
			leaving++
		}
	}
	n := p.meter.Next(clock(f.now), p.pace, p.held, leaving)
	if n == 0 {
		return
	}
	for i, n := range balance.Spread(n, p.heldIn()) {
		for ; n > 0 && p.holds[i].n > 0; n-- {
			stream := p.holds[i].head
			if clock(f.now-f.since[stream]) < balance.MinHold {
				break
			}
			f.sheds++
			f.remove(&p.holds[i], stream)
			if f.handler == nil {
				f.requeue(p, stream)
				continue
			}
			f.leaving[stream] = true
			p.leaving = append(p.leaving, release{stream, f.now, f.now + min(f.handler(stream), never-f.now)})
		}
	}
}

// heldIn returns how many streams p holds in each partition.
func (p *process) heldIn() []int {
	held := make([]int, len(p.holds))
	for i := range p.holds {
		held[i] = p.holds[i].n
	}
	return held
}

// requeue puts a stream that p held, and that is in no list, into its input stream.
func (f *fleet) requeue(p *process, stream int32) {
	p.held--
	f.enqueue(stream)
}

// handBack goes on with a drain.
func (f *fleet) handBack(p *process) {
	if f.now < p.until {
		return
	}
	for _, r := range p.leaving {
		f.leaving[r.stream] = false
		f.requeue(p, r.stream)
	}
	p.leaving = nil
	for i, n := range balance.Spread(handsBack, p.heldIn()) {
		for ; n > 0; n-- {
			stream := p.holds[i].head
			f.remove(&p.holds[i], stream)
			f.requeue(p, stream)
		}
	}
	if p.held == 0 {
		f.forget(p)
	}
}
