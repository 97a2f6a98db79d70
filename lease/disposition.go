package lease

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// AnyToken in a Disposition frees the lease whatever its token, as long as it names this consumer and this entry: for shutdown,
// and for streams that were disowned.
const AnyToken = "*"

// KeepCount, as a count of a Disposition, leaves the count of the entry as it is.
const KeepCount = -1

// Unweighed is the Size of a Disposition to ToReference whose entry takes too long to be read: the letter leaves out its size.
const Unweighed = -1

// Dest is where a Disposition puts its entry.
type Dest byte

const (
	ToInput       Dest = 'q' // to the end of the input stream
	ToLater       Dest = 'l' // to those that are delayed
	ToDeadLetters Dest = 'd' // to the dead letters
	// ToReference is for entries that cannot be copied: a dead letter names the entry, which stays where it is, neither pending
	// nor undelivered.
	ToReference Dest = 'r'
)

// Disposition is one item of a Requeue or Done call: what is to become of an entry.
type Disposition struct {
	Key     string // of the lease; the one of the empty name when the stream is unknown
	Entry   string
	Token   string // that it was held under; AnyToken; empty if it was never held
	IfShut  string // Done: only while the lease carries this mark, which Shut returned; empty: in any case
	Dest    Dest   // not for Done
	At      int64  // ToLater: not before this time by the server's clock, ms
	Delay   time.Duration
	Retries int // KeepCount: unchanged
	Crashes int
	Reason  string // ToDeadLetters, ToReference
	Size    int    // weight of the entry, as Entry.Size; 0: not known; or Unweighed
	Cut     string // ToReference: the start of its announcement; if Size is not known, the script reads the entry itself

	// What is to become of the stream's checkpoint, in the same step: Checkpoint is left behind; nil: what is stored stays. With
	// Checkpointed, something is stored, or may be: Done then notes the time, so that it is deleted one day; it is not needed with
	// Checkpoint. DropCheckpoint deletes it, whatever the others say, as an empty Checkpoint does. Nothing is written without a Token of
	// the entry's own.
	Checkpoint     *string
	Checkpointed   bool
	DropCheckpoint bool
}

// Outcome is the result of a Disposition.
type Outcome struct {
	Verdict Verdict
	Reason  string // Refused: why; TooHeavy: the weight, and the start of the announcement; Moved to later: ms until it is due

	// Checkpoint is what became of the stream's checkpoint: Saved, or deleted, as was wanted; Lost: the stream was another's, or a later
	// owner has left one, or may have dropped it, since the lease is gone and nothing is stored; Refused: rights are missing, or the key has another type, or what is there cannot be read, as CheckpointErr
	// says. 0: nothing was to become of it, or this call ended nothing; where NotPending is the success of an earlier call, so is this.
	Checkpoint    Verdict
	CheckpointErr error
}

// Delay returns how long an entry is delayed that was moved to later; 0 for every other outcome.
func (o Outcome) Delay() time.Duration {
	if o.Verdict != Moved || o.Reason == "" {
		return 0
	}
	ms, _ := strconv.ParseInt(o.Reason, 10, 64)
	return time.Duration(ms) * time.Millisecond
}

// Err returns why an entry was refused, as an error for Refusal and Explain.
func (o Outcome) Err() error { return refusedItem(o.Reason) }

// Done ends entries for good: it acknowledges and deletes them and frees their leases.
func (s *Store) Done(ctx context.Context, p int, consumer string, items []Disposition) ([]Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	keys := make([]string, 0, 1+len(items))
	args := make([]string, 0, 3+2*len(items))
	k := s.layout.Keys(p)
	keys = append(keys, k.Input)
	args = append(args, consumer, s.layout.Group(), strconv.Itoa(len(items)))
	for i := range items {
		keys = append(keys, items[i].Key)
		args = append(args, items[i].Entry, items[i].doneToken())
	}
	keys, args = appendLeavings(k, keys, args, len(items), func(i int) *Disposition { return &items[i] }, true)
	return ParseOutcomes(s.rest.DoWith(ctx, s.set.Signals, p, Call{Script: scriptDone, Keys: keys, Args: args}), len(items))
}

// doneToken is the token as done takes it, with the mark without which the item is not done.
func (r *Disposition) doneToken() string {
	if r.IfShut == "" {
		return r.Token
	}
	return r.Token + " " + r.IfShut
}

// Requeue gives entries back to the input stream, or moves them to later or the dead letters.
func (s *Store) Requeue(ctx context.Context, p int, consumer string, items []Disposition) ([]Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	Refer(items, MoveLimit(s.set.MaxMove))
	keys, args := s.moveHead(p, consumer, len(items), 1, dispositionArgs)
	keys, args, dead := AppendDispositions(keys, args, items)
	if dead {
		keys = append(keys, s.layout.Keys(p).DeadLetters)
	}
	keys, args = appendLeavings(s.layout.Keys(p), keys, args, len(items), func(i int) *Disposition { return &items[i] }, false)
	return ParseOutcomes(s.rest.DoWith(ctx, s.set.Signals, p, Call{Script: scriptRequeue, Keys: keys, Args: args}), len(items))
}

// moveHead returns the keys and the arguments with which requeue and restore begin, with room for n items of so many keys and
// arguments each.
func (s *Store) moveHead(p int, consumer string, n, keysEach, argsEach int) (keys, args []string) {
	k := s.layout.Keys(p)
	trim := "0"
	if s.set.DeadTrim {
		trim = "1"
	}
	keys = append(make([]string, 0, 4+keysEach*n), k.Input, k.Sessions, k.Later)
	args = append(make([]string, 0, 8+argsEach*n), consumer, s.layout.Group(), strconv.Itoa(n), strconv.Itoa(s.set.DeadLimit), trim,
		ms(s.set.DeadDelay), strconv.Itoa(MoveLimit(s.set.MaxMove)), strconv.Itoa(MaxCallWeight))
	return keys, args
}

// dispositionArgs is how many arguments a Disposition takes.
const dispositionArgs = 10

// AppendDispositions appends the lease keys and the arguments of items for requeue and recover, and reports whether the
// dead-letter stream must be among the keys.
func AppendDispositions(keys, args []string, items []Disposition) (allKeys, allArgs []string, letters bool) {
	for i := range items {
		r := &items[i]
		letters = letters || r.Dest == ToDeadLetters || r.Dest == ToReference
		keys = append(keys, r.Key)
		args = append(args, r.Entry, r.Token, string(rune(r.Dest)), strconv.FormatInt(r.At, 10), ms(r.Delay),
			countText(r.Retries), countText(r.Crashes), r.Reason)
		if r.Dest == ToReference {
			args = append(args, strconv.Itoa(r.Size), r.Cut)
		} else {
			args = append(args, "0", "")
		}
	}
	return keys, args, letters
}

// appendLeavings appends what is to become of the checkpoints of n items, as lua/parts/leaving.lua takes it, and the key of the
// checkpoints if there are any. With stamp, those that are stored get a time.
func appendLeavings(k *cluster.Keys, keys, args []string, n int, item func(i int) *Disposition, stamp bool) (_, _ []string) {
	before := len(args)
	for i := range n {
		r := item(i)
		switch index := strconv.Itoa(i + 1); {
		case r.DropCheckpoint || r.Checkpoint != nil && *r.Checkpoint == "":
			args = append(args, index, "-", "")
		case r.Checkpoint != nil:
			args = append(args, index, "w", *r.Checkpoint)
		case r.Checkpointed && stamp:
			args = append(args, index, "s", "")
		}
	}
	if len(args) > before {
		keys = append(keys, k.Checkpoints)
	}
	return keys, args
}

func countText(n int) string {
	if n == KeepCount {
		return ""
	}
	return strconv.Itoa(n)
}

// ParseOutcomes parses the answer of done, requeue or recover to n items.
func ParseOutcomes(result rueidis.RedisResult, n int) ([]Outcome, error) {
	parts, err := result.ToArray()
	if err != nil {
		return nil, err
	}
	return parseOutcomes(parts, n)
}

func parseOutcomes(parts []rueidis.RedisMessage, n int) ([]Outcome, error) {
	if len(parts) < 2 {
		return nil, fmt.Errorf("answer of %d parts", len(parts))
	}
	verdicts, err := parts[0].ToString()
	if err != nil {
		return nil, fmt.Errorf("verdicts: %w", err)
	}
	if len(verdicts) != n {
		return nil, fmt.Errorf("%d verdicts on %d entries", len(verdicts), n)
	}
	out := make([]Outcome, n)
	for i := range out {
		out[i].Verdict = Verdict(verdicts[i])
	}
	reasons, err := parts[1].ToArray()
	if err != nil {
		return out, nil
	}
	for i := 0; i+1 < len(reasons); i += 2 {
		index, err1 := reasons[i].AsInt64()
		text, err2 := reasons[i+1].ToString()
		if err1 == nil && err2 == nil && index >= 1 && int(index) <= n {
			out[index-1].Reason = text
		}
	}
	if len(parts) > 2 {
		parseLeft(parts[2], out)
	}
	return out, nil
}

// parseLeft reads what became of checkpoints.
func parseLeft(part rueidis.RedisMessage, out []Outcome) {
	notes, _ := part.ToArray()
	for ; len(notes) >= 3; notes = notes[3:] {
		index, err1 := notes[0].AsInt64()
		verdict, err2 := notes[1].ToString()
		why, err3 := notes[2].ToString()
		if err1 != nil || err2 != nil || err3 != nil || len(verdict) != 1 || index < 1 || int(index) > len(out) {
			continue
		}
		out[index-1].Checkpoint = Verdict(verdict[0])
		if why != "" {
			out[index-1].CheckpointErr = refusedItem(why)
		}
	}
}
