package feed

import (
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// backBy is how far reading goes back where a failover has forgotten the end of a stream. What was added after the failover
// follows that end, by the clock of a server that may be behind.
const backBy = time.Minute

// unknown is a number of messages that is not known.
const unknown = -1

// finding is what a look at a stream has shown. Kind 0: nothing that anybody needs to know.
type finding struct {
	kind    GapKind
	to      position.ID // reading goes on after it
	missing int64
	seen    int64 // see stream.seen
}

// look compares a stream with its position, where a read has just brought nothing. Everything that it returns as to either was handled,
// or precedes something that was, or is the end of a stream that has no message left.
func look(at position.ID, seen int64, info reading.Info, changed bool) finding {
	f := finding{to: at, seen: seen}
	if !info.Exists {
		f.seen = 0 // Redis will count from there
		return f
	}
	last, err := position.Parse(info.Last)
	if err != nil {
		return f
	}
	switch last.Compare(at) {
	case -1:
		f.seen = unknown
		f.kind, f.to = Reborn, position.ID{}
		if changed {
			f.kind, f.to = Forgotten, last.Back(backBy)
		}
		return f
	case 1:
		if info.Length > 0 {
			return f // added since the read, or what follows was deleted one by one: the next look knows
		}
		f.to = last
		if !at.IsZero() { // a stream that nobody here has read is not missed
			f.kind, f.missing = Trimmed, -1
		}
	}
	if info.Added < 0 {
		return f
	}
	if seen != unknown && info.Added > seen {
		f.kind, f.missing = Trimmed, info.Added-seen
	}
	f.seen = info.Added
	return f
}

// countedGap returns as what a gap is counted.
func countedGap(k GapKind) metrics.GapKind {
	switch k {
	case Forgotten:
		return metrics.GapForgotten
	case Trimmed:
		return metrics.GapTrimmed
	}
	return metrics.GapReborn
}
