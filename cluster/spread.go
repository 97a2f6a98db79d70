package cluster

// Owners says which of some masters, counted from 0, serves a slot; below 0: none does.
type Owners func(slot uint16) int

// EvenOwners are n masters that share the slots in equal ranges, as a new cluster has them.
func EvenOwners(n int) Owners {
	return func(slot uint16) int { return int(slot) * n / Slots }
}

// Spread is how the partitions of a service lie over masters. Data streams are spread evenly over partitions, so a master
// bears the share of the load that it has of the partitions.
type Spread struct {
	// Partitions is their number.
	Partitions int

	// OnMaster is how many each master serves.
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

// Idle is how many masters serve no partition.
func (s Spread) Idle() (n int) {
	for _, count := range s.OnMaster {
		if count == 0 {
			n++
		}
	}
	return n
}

// Busiest is the load of the busiest master as a multiple of its fair share, at least 1: with 1.5 it has half as much
// again as it would have if all had the same. It is 0 without masters.
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

// GoodSpread is the greatest Spread.Busiest that SuggestPartitions is content with: a master that has a quarter more to
// do than the others. Names are fixed and hashed, so an even spread takes many partitions (see docs/PARTITIONS.md), each
// of which costs every consumer a blocked read and a beat a second.
const GoodSpread = 1.25

// SuggestPartitions is the smallest number of partitions that serves a service well on these masters: none of them is
// idle, and the busiest has at most GoodSpread times its share. Where no number up to most does, the one with the least
// busy master among those that leave the fewest idle. Errors are those of NewLayout.
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
