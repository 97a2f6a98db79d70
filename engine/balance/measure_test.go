package balance_test

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// measured is what is measured of a fleet.
type measured struct {
	mark      int32 // from when "balanced after" counts
	lastBad   int32 // when the fleet was last not balanced
	arrivals  int
	moved     int // moves
	most      int // of one stream
	often     int // ended streams that moved more than twice
	sheds     int
	leftovers int
	crashes   int     // streams that were held in a crash
	peak      float64 // of receivers, in shares, when they took
	waits     []int32 // of moves, by millisecond
}

// startMeasuring forgets what was measured so far.
func (f *fleet) startMeasuring() {
	f.measured = measured{waits: make([]int32, 60_001), mark: f.now}
	clear(f.moves)
}

// took notes that a stream was taken, the nth in this step, after so many steps.
func (f *fleet) took(stream, steps int32, n int) {
	if f.fresh[stream] {
		f.fresh[stream] = false
		return
	}
	f.moves[stream]++
	f.moved++
	f.most = max(f.most, int(f.moves[stream]))
	ms := int(steps)*int(step/time.Millisecond) + hop + n/(takes/50)
	f.waits[min(ms, len(f.waits)-1)]++
}

// count notes what a stream that ends has been through.
func (f *fleet) count(stream int32) {
	if f.moves[stream] > 2 {
		f.often++
	}
	f.moves[stream] = 0
}

// truth returns how many streams there are for a unit of weight, and who shares them. Nobody in the fleet knows it.
func (f *fleet) truth() (perWeight float64, sharing []*process) {
	streams, weight := 0, 0.0
	for i := range f.partitions {
		streams += f.partitions[i].streams
	}
	for _, p := range f.live {
		switch {
		case p.full:
			streams -= p.held
		case !p.draining:
			sharing = append(sharing, p)
			weight += p.weight()
		}
	}
	return float64(streams) / weight, sharing
}

// received notes how full a process is that has just taken something.
func (f *fleet) received(p *process) {
	if !p.receiver || p.counted == 0 {
		return
	}
	streams := 0
	for i := range f.partitions {
		streams += f.answer(i).Total
	}
	if fair := float64(streams) * p.weight() / float64(f.books.weight) * 1000; fair >= 1 {
		f.peak = max(f.peak, float64(p.held)/fair)
	}
}

// sample looks whether the fleet is balanced: each within a tenth of its share, or a stream.
func (f *fleet) sample() {
	perWeight, sharing := f.truth()
	for _, p := range sharing {
		fair := perWeight * p.weight()
		if !p.old && math.Abs(float64(p.held)-fair) > max(0.1*fair, 1) {
			f.lastBad = f.now
			return
		}
	}
}

// row is what became of a fleet.
type row struct {
	name               string
	balanced           float64 // seconds; negative: never
	moves              float64 // a stream
	most, often        int
	peak               float64
	least, greatest    float64
	p50, p99           int // ms
	leftovers, crashes int
	moved, sheds       int
	held               []int
}

// result ends a simulation.
func (f *fleet) result(name string) row {
	r := row{
		name: name, moves: float64(f.moved) / float64(len(f.owner)-len(f.free)), most: f.most, often: f.often, peak: f.peak,
		least: math.Inf(1), leftovers: f.leftovers, crashes: f.crashes, moved: f.moved, sheds: f.sheds,
	}
	for _, n := range f.moves {
		if n > 2 {
			r.often++
		}
	}
	r.balanced = max(0, float64(f.lastBad-f.mark)/float64(second))
	if f.now-f.lastBad < 20*second {
		r.balanced = -1
	}
	perWeight, sharing := f.truth()
	for _, p := range sharing {
		if p.old {
			continue
		}
		part := float64(p.held) / (perWeight * p.weight())
		r.least, r.greatest = min(r.least, part), max(r.greatest, part)
	}
	for _, p := range f.live {
		r.held = append(r.held, p.held)
	}
	r.p50, r.p99 = f.percentile(0.5), f.percentile(0.99)
	return r
}

// percentile returns how many milliseconds that part of all moves took at most.
func (f *fleet) percentile(part float64) int {
	seen := 0
	for ms, n := range f.waits {
		if seen += int(n); n > 0 && float64(seen) >= part*float64(f.moved) {
			return ms
		}
	}
	return 0
}

const tableHead = "" +
	"                                                              balanced   moves     most moves  more than   peak of    spread       wait, ms      left    in\n" +
	"                                                              after, s   a stream  of one      twice       receivers  at the end   p50    p99    overs   crashes\n"

func (r row) String() string {
	balanced := "never"
	if r.balanced >= 0 {
		balanced = fmt.Sprintf("%.0f", r.balanced)
	}
	return fmt.Sprintf("%-60s  %8s   %8.3f  %10d  %9d   %9.2f  %5.2f–%-5.2f  %5d  %5d   %5d   %7d",
		r.name, balanced, r.moves, r.most, r.often, r.peak, r.least, r.greatest, r.p50, r.p99, r.leftovers, r.crashes)
}

// table is a golden file.
func table(rows ...row) string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, r := range rows {
		b.WriteString(strings.TrimRight(r.String(), " ") + "\n")
	}
	return b.String()
}
