package handling

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// maxNamed is how many faults of a kind are named.
const maxNamed = 20

// struck is a trouble that struck, on the clock of journals.
type struck struct {
	name        string
	process     string // empty: the servers, hence all processes
	from, until time.Duration
	repeats     bool // it may make messages come again
}

// Findings are what the notes show.
type Findings struct {
	Messages   int // that are in the streams in the end
	Handled    int // times that a message was handled
	Ownerships int
	Gaps       int
	Repeated   int // messages that came again after a trouble, within the interval of checkpoints
	Forgotten  int // messages that were handled and are not in their streams: a failover has forgotten them
	Missing    int // messages that nobody handled
	Disordered int // messages that were handled after a later one, or twice, in one ownership
	Stale      int // messages that were handled by an owner after the next one had begun
	Unexcused  int // messages that came again without a trouble that would explain it
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
	troubles []struck
	interval time.Duration // what was handled that long before a trouble may come again
	forgets  bool          // a failover may have forgotten messages
}

// noted is a note and whose it is.
type noted struct {
	note
	process string
}

func (a *audit) add(process string, all []note) {
	for _, n := range all {
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
	var token api.Token // the greatest so far
	last := make(map[api.Token]noted)
	first := make(map[id]noted)
	rewound := make(map[api.Token]bool) // ownerships in which the feed went back
	for _, n := range all {
		if n.token < token && n.kind == handled {
			f.Stale++
			f.name("stream %d: %v was handled under %d by %s, when the owner was %d", number, n.id, n.token, n.process, token)
		}
		token = max(token, n.token)
		switch n.kind {
		case started:
			f.Ownerships++
			continue
		case gap:
			if f.Gaps++; !a.forgets {
				f.Unexcused++
				f.name("stream %d: %s found a gap under %d, where no failover could forget anything", number, n.process, n.token)
			}
			rewound[n.token] = true
			delete(last, n.token)
			continue
		}
		f.Handled++
		if before, ok := last[n.token]; ok && !before.id.less(n.id) {
			f.Disordered++
			f.name("stream %d: %v was handled after %v under %d by %s", number, n.id, before.id, n.token, n.process)
		}
		last[n.token] = n
		if before, again := first[n.id]; again && before.token != n.token {
			a.repeat(number, before, n, rewound[n.token], f)
		}
		first[n.id] = n // the latest, since that is what a later one repeats
		if !exists[n.id] {
			f.Forgotten++
		}
	}
	for _, x := range there {
		if _, ok := first[x]; !ok {
			f.Missing++
			f.name("stream %d: nobody handled %v", number, x)
		}
	}
	if f.Forgotten > 0 && !a.forgets {
		f.Disordered += f.Forgotten
		f.name("stream %d: messages were handled that it does not have", number)
	}
}

// repeat judges a message that came again under another token.
func (a *audit) repeat(stream int, before, now noted, rewound bool, f *Findings) {
	if rewound {
		f.Repeated++
		return
	}
	for _, t := range a.troubles {
		if t.repeats && (t.process == "" || t.process == before.process) &&
			before.at >= t.from-a.interval && before.at <= t.until+a.interval && now.at >= t.from {
			f.Repeated++
			return
		}
	}
	f.Unexcused++
	f.name("stream %d: %v was handled by %s at %v under %d, and again by %s at %v under %d", stream, now.id,
		before.process, before.at, before.token, now.process, now.at, now.token)
}
