package fired

import (
	"hash/fnv"
	"slices"
	"time"
)

// What is what was done to a schedule.
type What string

// What is done to schedules.
const (
	Create  What = "put"
	Retime  What = "edited: other times"
	Reword  What = "edited: other info"
	Remove  What = "deleted"
	Pause   What = "paused"
	Resume  What = "resumed"
	Trigger What = "triggered"
)

// Grid is when the ticks of a schedule are due: at Phase + k·Every, in milliseconds since the epoch.
type Grid struct{ Every, Phase int64 }

// has reports whether a time is a point of the grid.
func (g Grid) has(at int64) bool { return g.Every > 0 && (at-g.Phase)%g.Every == 0 }

// next is the first point after a time.
func (g Grid) next(after int64) int64 {
	since := after - g.Phase
	k := since / g.Every
	if since < 0 && since%g.Every != 0 {
		k--
	}
	return g.Phase + (k+1)*g.Every
}

// between calls each with the points after from and before until, of which there are at most a million.
func (g Grid) between(from, until int64, each func(point int64)) {
	if g.Every <= 0 {
		return
	}
	for p, n := g.next(from), 0; p < until && n < 1e6; p, n = p+g.Every, n+1 {
		each(p)
	}
}

// Change is a change of a schedule, by a call that began at From and had returned at Until. A call that failed and was repeated is one.
type Change struct {
	What        What
	Generation  uint32 // of the spec from then on; it rises by one with each spec and each deletion
	From, Until time.Duration
	Grid        Grid // from then on; zero: none
}

// Trouble struck a process or servers.
type Trouble struct {
	Name        string
	Process     string                  // empty: servers
	Hits        func(schedule int) bool // whether they had the schedule; nil: all
	From, Until time.Duration
	Quiet       bool // nobody may lose a lease or a checkpoint by it
	Harmless    bool // it does not even delay the storing of checkpoints
	Forgets     bool // servers may forget what they had acknowledged right before, or meanwhile
}

// of reports whether a trouble struck the servers of a schedule, or one of these processes, which may be anybody.
func (t *Trouble) of(schedule int, processes []string) bool {
	if t.Process != "" {
		return slices.Contains(processes, t.Process) || slices.Contains(processes, anybody)
	}
	return t.Hits == nil || t.Hits(schedule)
}

// overlaps reports whether a trouble struck between two times.
func (t *Trouble) overlaps(from, until time.Duration) bool { return t.From <= until && t.Until >= from }

// NamedGrid is the grid of a schedule whose name decides when its ticks are. It is computed here once more, to find a library that computes it
// otherwise.
func NamedGrid(name string, every time.Duration) Grid {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	ms := every.Milliseconds()
	return Grid{ms, int64(hash.Sum64() % uint64(ms))}
}
