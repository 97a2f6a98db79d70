package wheel

import "iter"

// Due holds the result of one [Wheel.Advance]: handles, grouped by partition.
// Reuse a Due, since it keeps its memory. The zero value is ready to use, and it
// may serve several wheels in turn.
type Due struct {
	// handles and partitions run in parallel, in the order of expiry. They are
	// two slices so that, with one partition, handles is itself the only group.
	handles    []Handle
	partitions []uint16

	groups  []group  // in the order in which their partitions appeared
	sorted  []Handle // handles, group by group; used only with several groups
	grouped []Handle // what Groups slices: handles or sorted

	// count holds, for each partition, how many came out, then where in sorted
	// the next one goes. It is all zero between calls.
	count []uint32
}

type group struct {
	partition uint16
	end       uint32 // in grouped; the group starts where the previous one ends
}

// Len returns the number of handles.
func (d *Due) Len() int { return len(d.handles) }

// Groups yields each partition that has handles due, once, with its handles in
// the order of their ticks; the partition with the earliest tick comes first. A
// slice is valid until the next Advance with this Due, and the caller may change
// its elements. Timers may be armed and cancelled meanwhile.
func (d *Due) Groups() iter.Seq2[uint16, []Handle] {
	return func(yield func(uint16, []Handle) bool) {
		var start uint32
		for _, g := range d.groups {
			if !yield(g.partition, d.grouped[start:g.end:g.end]) {
				return
			}
			start = g.end
		}
	}
}

func (d *Due) reset() {
	d.handles = d.handles[:0]
	d.partitions = d.partitions[:0]
	d.groups = d.groups[:0]
	d.grouped = nil
}

func (d *Due) add(h Handle, partition uint16) {
	d.handles = append(d.handles, h)
	d.partitions = append(d.partitions, partition)
	if int(partition) >= len(d.count) {
		d.count = append(d.count, make([]uint32, int(partition)+1-len(d.count))...)
	}
	if d.count[partition] == 0 {
		d.groups = append(d.groups, group{partition: partition})
	}
	d.count[partition]++
}

// group sorts the handles by partition and keeps the order within each. Handles
// were counted per partition as they were added, so one pass is enough.
func (d *Due) group() {
	var end uint32
	for i := range d.groups {
		g := &d.groups[i]
		start := end
		end += d.count[g.partition]
		g.end = end
		d.count[g.partition] = start
	}
	if len(d.groups) <= 1 {
		d.grouped = d.handles
	} else {
		d.scatter()
	}
	for _, g := range d.groups {
		d.count[g.partition] = 0
	}
}

func (d *Due) scatter() {
	if n := len(d.handles); cap(d.sorted) < n {
		d.sorted = make([]Handle, max(n, 2*cap(d.sorted)))
	}
	d.grouped = d.sorted[:len(d.handles)]
	for i, h := range d.handles {
		at := &d.count[d.partitions[i]]
		d.grouped[*at] = h
		*at++
	}
}
