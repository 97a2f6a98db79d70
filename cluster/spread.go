package cluster

// Owners returns which of some masters, counted from 0, serves a slot; a negative number if none does.
type Owners func(slot uint16) int

// EvenOwners returns the Owners for n masters that share the slots in equal ranges, as in a new cluster.
func EvenOwners(n int) Owners {
	return func(slot uint16) int { return int(slot) * n / Slots }
}

// Spread is how the partitions of a service are distributed over masters. Data streams are spread evenly over partitions,
// so a master's share of the load is its share of the partitions.
type Spread struct {
	// Partitions is the number of partitions.
	Partitions int

	// OnMaster is how many partitions each master serves.
	OnMaster []int

	// Unserved is how many partitions are in slots that no master serves.
	Unserved int
}

// SpreadOf counts the partitions of a service on each of some masters. Errors are those of NewLayout.
func SpreadOf(service string, partitions, masters int, owners Owners) (Spread, error) {
	layout, err := NewLayout(service, partitions)
	if err != nil {
		return Spread{}, err
	}
	s := Spread{OnMaster: make([]int, masters)}
	for p := range partitions {
		s.add(owners(layout.Keys(p).Slot))
	}
	return s, nil
}

func (s *Spread) add(master int) {
	s.Partitions++
	if master < 0 || master >= len(s.OnMaster) {
		s.Unserved++
		return
	}
	s.OnMaster[master]++
}

// Idle returns how many masters serve no partition.
func (s Spread) Idle() (n int) {
	for _, count := range s.OnMaster {
		if count == 0 {
			n++
		}
	}
	return n
}

// Busiest returns the load of the busiest master as a multiple of its fair share, at least 1: 1.5 means half as much again
// as if all had the same. It is 0 without masters.
func (s Spread) Busiest() float64 {
	most := 0
	for _, count := range s.OnMaster {
		most = max(most, count)
	}
	if s.Partitions == 0 {
		return 0
	}
	return float64(most*len(s.OnMaster)) / float64(s.Partitions)
}

// GoodSpread is the greatest Spread.Busiest that SuggestPartitions accepts: a master with a quarter more load than its
// fair share. Names are fixed and hashed, so an even spread takes many partitions (see docs/partitions.md), each of which
// costs every consumer a blocked read and a beat a second.
const GoodSpread = 1.25

// SuggestPartitions returns the spread of the smallest number of partitions that suits a service on these masters: none
// of them is idle, and the busiest has at most GoodSpread times its share. If no number up to most does, it is the number
// whose busiest master has the least load, of those that leave the fewest masters idle. Errors are those of NewLayout.
func SuggestPartitions(service string, most, masters int, owners Owners) (best Spread, err error) {
	layout, err := NewLayout(service, most)
	if err != nil {
		return Spread{}, err
	}
	now := Spread{OnMaster: make([]int, masters)}
	for p := range most {
		now.add(owners(layout.Keys(p).Slot))
		if p == 0 || now.Idle() < best.Idle() || now.Idle() == best.Idle() && now.Busiest() < best.Busiest() {
			best = now
			best.OnMaster = append([]int(nil), now.OnMaster...)
		}
		if now.Idle() == 0 && now.Busiest() <= GoodSpread {
			break
		}
	}
	return best, nil
}
