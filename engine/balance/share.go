package balance

import (
	"math"
	"time"
)

// Part is what a beat answered about one partition.
type Part struct {
	// Total is how many streams there are: held, parked and undelivered, without those held by consumers that do not share. Streams
	// on their way from one process to another are among them.
	Total int
	// Weight is the sum of the weights of live consumers that share. 0: there are none, or it is not known.
	Weight float64
	// Least is the smallest fill of any of them: what the whole process holds, divided by its weight. Negative: nobody has said.
	Least float64
}

// Share is what one process should hold, from what it knows of the fleet. Make it with [ShareOf]; the zero value is the share of
// a process that does not share.
type Share struct {
	F     float64 // streams for a unit of weight
	Fair  float64 // streams for this process: F times its weight; 0 if it does not share
	Least float64 // the smallest fill of any process; negative: nobody has said
	Even  bool    // the least filled process has nearly its share, so all may take a little more than theirs
	Open  bool    // the gate does not apply: this process is alone, or nobody shares, or nothing is known
	Total int     // streams of all that share

	shares bool // the process has a weight
}

// rounding is what a real number may be off an integer and still count as that integer. Sums of up to 1,024 quotients are off by less.
const rounding = 1e-6

// resolution is the smallest difference of weights that counts: they are kept in Redis as integers, in thousandths.
const resolution = 0.0006

// ShareOf returns the share of a process with this weight, as far as parts tell. weight is the one that is counted in the sums of
// parts: 0 if this process does not share. Partitions of which no weight is known are taken to have the greatest weight of the others,
// since a process shares in all partitions or in none.
//
// Open says nothing about whether the process should read: one that is paused, or drains, may find that nobody shares.
func ShareOf(weight float64, parts []Part) Share {
	s := Share{Least: -1, shares: weight > 0}
	greatest := 0.0
	for _, p := range parts {
		s.Total += p.Total
		greatest = max(greatest, p.Weight)
		if p.Least >= 0 && (s.Least < 0 || p.Least < s.Least) {
			s.Least = p.Least
		}
	}
	if greatest <= 0 {
		s.Open = true
		return s
	}
	s.F = fill(parts, greatest)
	s.Fair = weight * s.F
	s.Open = s.shares && greatest <= weight+resolution
	s.Even = s.Fair >= 1 && (s.Least < 0 || s.Least*weight >= min(evenAt*s.Fair, floor(s.Fair))-rounding)
	return s
}

// fill returns the number of streams for a unit of weight. It sums real numbers over partitions: rounding in each would add up.
func fill(parts []Part, otherwise float64) float64 {
	f := 0.0
	for _, p := range parts {
		if p.Weight <= 0 {
			p.Weight = otherwise
		}
		f += float64(p.Total) / p.Weight
	}
	return f
}

// Full reports whether a process that holds so many streams and cannot take more, because its limit is reached or its handlers are behind,
// should leave the sums: its share would be more than it holds, so the others have to take the rest. One that holds its share or
// more stays in. It would not read now anyway, and it should give some back. It does not matter whether the process is counted in
// parts: if it holds less than its share with itself counted, so it does without.
//
// weight is what it has when it shares. A process that an operator has paused leaves in any case.
func Full(weight float64, held int, parts []Part) bool {
	greatest := 0.0
	for _, p := range parts {
		greatest = max(greatest, p.Weight)
	}
	return greatest <= 0 || float64(held) < weight*fill(parts, greatest)-rounding
}

// Room returns how many more streams the gate lets a process take that holds so many: math.MaxInt if the gate does not apply, never
// negative. It bounds the number of entries of a read. Nothing is reserved, and what was read is never given back because of it.
func (s Share) Room(held int) int {
	if s.Open {
		return math.MaxInt
	}
	return max(0, s.most()-max(0, held))
}

// PerRead divides room among the readers of so many partitions: at least 1 for each while there is any. All of them wait for entries at
// the same time, so together they may take up to one a partition too many.
func PerRead(room, partitions int) int {
	if room <= 0 {
		return 0
	}
	return max(1, room/max(1, partitions))
}

// Leftover returns how many entries a process without room reads that holds so many streams, when the oldest entry that nobody has
// read has waited for so long. That is from the [Handicap] on, and the more later the more it holds beyond its share, up to four times the
// Handicap for twice its share. Otherwise the process whose beat happens to come first would take all each time, however full it is.
func (s Share) Leftover(held int, waited time.Duration) int {
	handicap := Handicap
	switch {
	case s.Open:
	case s.Fair <= 0 && !s.shares:
		return 0
	case float64(held) > s.Fair:
		beyond := min(1, float64(held)/max(1, s.Fair)-1)
		handicap += time.Duration(max(0, beyond) * 3 * float64(Handicap))
	}
	if waited < handicap {
		return 0
	}
	return Leftovers
}

// Opening returns how many streams a process takes at most in its [FirstSecond], if there are so many in all.
func Opening(total int) int {
	return max(OpeningLeast, total/OpeningPart)
}

// LeadOf returns how long a process waits, after it has taken its weight out, before it hands back what it holds: [Lead], at most a tenth
// of the time that the drain may take, and nothing if it was alone or holds nothing. s is its share before.
func (s Share) LeadOf(held int, drain time.Duration) time.Duration {
	if s.Open || held <= 0 {
		return 0
	}
	return max(0, min(Lead, drain/10))
}

// most returns how many streams the gate lets a process hold. While the fleet is not even it is no more than the share, so that the
// others find what is there; and always at least one, since otherwise nobody would read the first stream of all.
func (s Share) most() int {
	switch {
	case s.Fair <= 0 && !s.shares:
		return 0
	case s.Even:
		return s.loose()
	}
	return max(1, ceil(s.Fair))
}

// loose returns how many streams the gate lets a process hold while the fleet is even.
func (s Share) loose() int { return ceil(s.Fair*(1+Slack) + 1) }

// stop returns down to how many streams a process gives.
func (s Share) stop() int {
	if s.Even {
		return int(floor(s.Fair*StopAt + 1))
	}
	return max(1, ceil(s.Fair))
}

// over reports whether so many are too many by themselves. What the gate may have let in is not: with small shares, rounded up, that can
// be more than Over.
func (s Share) over(held int) bool {
	return float64(held) > max(s.Fair*Over+1, float64(s.loose()))+rounding
}

// idle reports whether somebody has so little that all who have more than their share should give.
func (s Share) idle() bool {
	return !s.Even && s.Least >= 0 && s.Least < s.F*Idle
}

func ceil(x float64) int { return int(math.Ceil(x - rounding)) }

func floor(x float64) float64 { return math.Floor(x + rounding) }
