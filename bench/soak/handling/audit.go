package handling

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/soak/storm"
)

// maxNamed is how many faults of a kind are named.
const maxNamed = 20

// Findings are what the notes show.
type Findings struct {
	Messages   int // that are in the streams in the end
	Handled    int // times that a message was handled
	Ownerships int
	Gaps       int
	Repeated   int            // messages that came again after a trouble, within the interval of checkpoints
	After      map[string]int // those by the name of the trouble
	Returned   int            // those that an owner had handled which then handed the stream back
	Losses     int            // ownerships that ended otherwise than by handing the stream back, in a process that lived
	Unforced   int            // those that no trouble explains
	Forgotten  int            // messages that were handled and are not in their streams: a failover has forgotten them
	Missing    int            // messages that nobody handled
	Disordered int            // messages that were handled after a later one, or twice, in one ownership
	Stale      int            // messages that were handled by an owner after the next one had begun
	Unexcused  int            // messages that came again without a trouble that would explain it
	Named      []string
}

func (f *Findings) hold() bool { return f.Missing+f.Disordered+f.Stale+f.Unexcused == 0 }

func (f *Findings) name(format string, args ...any) {
	if len(f.Named) < maxNamed {
		f.Named = append(f.Named, fmt.Sprintf(format, args...))
	}
}

// audit compares what was handled with what there was.
type audit struct {
	notes    [][]noted // by stream
	troubles []storm.Struck
	session  time.Duration // TTL
	interval time.Duration // what was handled that long before a trouble may come again
	slots    func(stream int) (own, partition uint16)
}

// noted is a note and whose it is.
type noted struct {
	note
	process string
}

func (a *audit) add(process string, all []note) {
	for _, n := range all {
		if n.kind == stalled {
			a.troubles = append(a.troubles, storm.Struck{Name: storm.Stood, Process: process, From: time.Duration(n.id.ms), Until: n.at})
			continue
		}
		for int(n.stream) >= len(a.notes) {
			a.notes = append(a.notes, nil)
		}
		a.notes[n.stream] = append(a.notes[n.stream], noted{n, process})
	}
}

// unhandled counts messages of a stream that nobody has handled yet.
func (a *audit) unhandled(stream int, there []id) (n int) {
	if stream >= len(a.notes) {
		return len(there)
	}
	seen := make(map[id]bool, len(there))
	for _, x := range a.notes[stream] {
		seen[x.id] = true
	}
	for _, x := range there {
		if !seen[x] {
			n++
		}
	}
	return n
}

// stream checks one stream, which has these messages in the end.
func (a *audit) stream(number int, there []id, f *Findings) {
	f.Messages += len(there)
	if number >= len(a.notes) {
		if f.Missing += len(there); len(there) > 0 {
			f.name("stream %d was never read", number)
		}
		return
	}
	all := a.notes[number]
	slices.SortStableFunc(all, func(x, y noted) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.token, y.token)) })
	exists := make(map[id]bool, len(there))
	for _, x := range there {
		exists[x] = true
	}
	own, partition := a.slots(number)
	var token api.Token // the greatest so far
	last := make(map[api.Token]noted)
	first := make(map[id]noted)
	rewound := make(map[api.Token]id) // ownerships in which the feed went back, and after which message they went on
	returned := make(map[api.Token]bool)
	forgotten := 0 // messages that were handled so far and are not there
	for _, n := range all {
		if n.token < token && n.kind == handled {
			f.Stale++
			f.name("stream %d: %v was handled under %d by %s at %v, when the owner was %d", number, n.id, n.token, n.process, n.at, token)
		}
		token = max(token, n.token)
		switch n.kind {
		case started:
			f.Ownerships++
			continue
		case released:
			returned[n.token] = true
			continue
		case lost:
			if f.Losses++; !a.forced(n, partition) {
				f.Unforced++
			}
			continue
		case gap:
			if f.Gaps++; forgotten == 0 {
				f.Unexcused++
				f.name("stream %d: %s found a gap under %d at %v, where nothing that was handled before is missing", number, n.process, n.token, n.at)
			}
			rewound[n.token] = n.id
			delete(last, n.token)
			continue
		}
		f.Handled++
		if before, ok := last[n.token]; ok && !before.id.less(n.id) {
			f.Disordered++
			f.name("stream %d: %v was handled after %v under %d by %s at %v", number, n.id, before.id, n.token, n.process, n.at)
		}
		last[n.token] = n
		if before, again := first[n.id]; again && before.token != n.token {
			to, back := rewound[n.token]
			a.repeat(number, partition, before, n, back && to.less(n.id), f)
			if returned[before.token] {
				f.Returned++
			}
		}
		first[n.id] = n // the latest, since that is what a later one repeats
		if exists[n.id] {
			continue
		}
		forgotten++
		if f.Forgotten++; !a.mayForget(own, n.at) {
			f.Unexcused++
			f.name("stream %d: %v, which %s handled at %v, is not there, and no master was killed then", number, n.id, n.process, n.at)
		}
	}
	for _, x := range there {
		if _, ok := first[x]; !ok {
			f.Missing++
			f.name("stream %d: nobody handled %v", number, x)
		}
	}
}

// forced reports whether a trouble explains that an ownership was lost.
func (a *audit) forced(n noted, partition uint16) bool {
	return slices.ContainsFunc(a.troubles, func(t storm.Struck) bool {
		return !t.Quiet() && (t.Process == n.process || t.Hits(partition)) && n.at >= t.From && n.at <= t.Until+a.session+a.interval
	})
}

// mayForget reports whether a failover may have forgotten what was written to a slot at some time.
func (a *audit) mayForget(slot uint16, at time.Duration) bool {
	for _, t := range a.troubles {
		if t.Name == storm.Crashed && t.Hits(slot) && at >= t.From-replicates && at <= t.Until {
			return true
		}
	}
	return false
}

// replicates is how long a replica may be behind.
const replicates = time.Second

// repeat judges a message that came again under another token.
func (a *audit) repeat(stream int, partition uint16, before, now noted, rewound bool, f *Findings) {
	if f.After == nil {
		f.After = make(map[string]int)
	}
	if rewound {
		f.Repeated++
		f.After["a gap"]++
		return
	}
	for _, t := range a.troubles {
		if !t.Quiet() && (t.Process == before.process || t.Hits(partition)) &&
			before.at >= a.unsaved(t, partition) && before.at <= t.Until+a.interval && now.at >= t.From {
			f.Repeated++
			f.After[t.Name]++
			return
		}
	}
	f.Unexcused++
	f.name("stream %d: %v was handled by %s at %v under %d, and again by %s at %v under %d", stream, now.id,
		before.process, before.at, before.token, now.process, now.at, now.token)
}

// unsaved returns since when positions may not have been stored that were lost to a trouble: for longer than usual while servers were in
// trouble just before.
func (a *audit) unsaved(t storm.Struck, partition uint16) time.Duration {
	since := t.From - a.interval
	for again := true; again; {
		again = false
		for _, x := range a.troubles {
			if x.Hits(partition) && !x.Harmless() && x.From-a.interval < since && x.Until >= since {
				since, again = x.From-a.interval, true
			}
		}
	}
	return since
}
