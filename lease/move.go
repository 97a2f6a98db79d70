package lease

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultMaxMove is what an entry may weigh to be copied. The server copies 16 MiB in some 70 ms, during which it serves
	// nobody else.
	DefaultMaxMove = 16 << 20

	// MaxCut is how much of an announcement a dead letter shows that refers to its entry, in bytes.
	MaxCut = 4 << 10

	// MoveTries is how often the server may refuse to move an entry, for a reason that lies in the entry, before it becomes a
	// dead letter that refers to it. Refusals that lie in the server never make a dead letter of an entry.
	MoveTries = 4

	// maxWhy is how much of the server's words a dead letter keeps, in bytes.
	maxWhy = 1024
)

// Fields of a dead letter that refers to an entry of the input stream.
const (
	FieldReference = "_reference" // the entry's ID
	FieldSize      = "_size"      // what it weighs
)

// Classes of dead letters that more than one package makes: what a reason begins with.
const (
	DeadMalformed = "malformed"
	DeadTooWide   = "too_wide"
	DeadTooLarge  = "too_large"
	DeadRefused   = "refused"
)

// MoveLimit is what MaxMove of Settings means: 0 for no limit.
func MoveLimit(most int) int {
	if most == 0 {
		return DefaultMaxMove
	}
	return max(most, 0)
}

// RequeueEntry is how an entry goes back that Parse read with the error err: to the input stream, or to later where its
// producer wants it later. One that nobody can read becomes a dead letter, since whoever got it next could do no more;
// unless its body was not looked at, or its name is too far behind. unknown is the lease key for an entry whose stream is not known, that of the empty name.
func RequeueEntry(x *Entry, err error, unknown string) Disposition {
	r := Disposition{Key: x.Key, Entry: x.ID, Token: AnyToken, Dest: ToInput, Retries: KeepCount, Crashes: KeepCount}
	if r.Key == "" {
		r.Key = unknown
	}
	switch {
	case err != nil && !errors.Is(err, ErrNameCut) && x.read():
		r.Dest, r.Reason = ToDeadLetters, clipped(DeadMalformed+": "+err.Error())
	case x.NotBefore > 0:
		r.Dest, r.At = ToLater, x.NotBefore // a copy does not carry it
	}
	r.Weigh(x)
	return r
}

// read reports whether the body was looked at: there is no entry without a field.
func (x *Entry) read() bool { return len(x.Body) > 0 || x.Fields > 0 }

// Weigh notes what an entry weighs, where that is known, and of a heavy one what a dead letter will show of it.
func (r *Disposition) Weigh(x *Entry) {
	r.Size = x.Size
	if x.Size <= MaxCallWeight {
		return // the script looks at it itself
	}
	for _, f := range x.Body {
		if f.Field == FieldAnnouncement {
			r.Cut = strings.Clone(f.Value[:min(len(f.Value), MaxCut)])
			return
		}
	}
}

// Refer sends those of items that are known to weigh more than most to the dead letters by reference; most 0: none.
func Refer(items []Disposition, most int) {
	for i := range items {
		if r := &items[i]; most > 0 && r.Size > most && r.Dest != ToReference {
			r.refer(fmt.Sprintf("%s: it weighs %d, and no more than %d is copied", DeadTooLarge, r.Size, most))
			if r.Cut == "" && r.Size <= MaxCallWeight {
				r.Size = 0 // light enough for the script to look at it
			}
		}
	}
}

// refer has a dead letter refer to the entry. One that became a dead letter anyway keeps the reason for that.
func (r *Disposition) refer(why string) {
	if r.Dest != ToDeadLetters || r.Reason == "" {
		r.Reason = clipped(why)
	}
	r.Dest = ToReference
}

// DeadLetterByReference sends an entry to the dead letters by reference that the server has refused to move too often.
func (r *Disposition) DeadLetterByReference(why error) { r.refer(DeadRefused + ": " + why.Error()) }

// Redirect sends an entry elsewhere, where an outcome says that it cannot go where it was sent, and reports whether it did:
// then it is to be asked for again.
func (r *Disposition) Redirect(o Outcome) bool {
	switch o.Verdict {
	case TooWide:
		r.Dest, r.Reason = ToDeadLetters, DeadTooWide+": more fields than can be copied"
	case Bare:
		r.Dest, r.Reason = ToDeadLetters, DeadMalformed+": it has no field of a producer"
	case TooHeavy:
		size, cut, _ := strings.Cut(o.Reason, " ")
		r.Size, _ = strconv.Atoi(size)
		r.Cut = cut
		r.refer(fmt.Sprintf("%s: it weighs %s, more than is copied", DeadTooLarge, size))
	default:
		return false
	}
	return true
}

func clipped(text string) string { return text[:min(len(text), maxWhy)] }

// Move has ask move items, in calls that weigh no more than MaxCallWeight and carry no more than size allows, and calls done
// with what became of each. A call that is refused for what it carries is made smaller, down to the one item that is to
// blame, of which done is told that it was refused; the others go on. An error is one that has nothing to do with the items,
// or the lack of an answer; it leaves the rest undone.
func Move(items []Disposition, size *PageSize, ask func([]Disposition) ([]Outcome, error), done func(Disposition, Outcome)) error {
	queue := append([]Disposition(nil), items...)
	for len(queue) > 0 {
		batch := queue[:fitting(queue[:min(len(queue), size.Size())], func(r *Disposition) int { return r.Size })]
		outcomes, err := ask(batch)
		switch {
		case err == nil:
			size.Succeeded()
		case !Blames(err):
			if _, refused := Refusal(err); !refused {
				size.Failed(len(batch))
			}
			return err
		case size.Failed(len(batch)):
			continue
		default:
			outcomes = []Outcome{{Verdict: Refused, Reason: err.Error()}}
		}
		var again []Disposition
		left := 0
		for i, o := range outcomes {
			r := batch[i]
			switch {
			case o.Verdict == Left:
				left++
				again = append(again, r)
			case r.Redirect(o):
				again = append(again, r)
			default:
				done(r, o)
			}
		}
		if left == len(batch) {
			return fmt.Errorf("none of %d entries was looked at", left)
		}
		queue = append(again, queue[len(batch):]...)
	}
	return nil
}

// Setbacks remember which entries the server refuses to move, so that each is tried at its own time and holds up no other.
// It is passive, and not safe for concurrent use. The zero value is ready.
type Setbacks struct {
	entries map[string]setback
}

type setback struct {
	refused int // in a row
	blamed  int // of them, for what lies in the entry
	why     error
	after   int64
}

// Refused notes that an entry was refused, and that it waits from now on for as long as wait says of the number of refusals
// in a row. The one after which it is to be given up costs no wait.
func (s *Setbacks) Refused(id string, why error, now int64, wait func(refused int) time.Duration) {
	if s.entries == nil {
		s.entries = make(map[string]setback)
	}
	x := s.entries[id]
	x.refused++
	x.after = now + int64(wait(x.refused))
	if Blames(why) {
		x.why = why
		if x.blamed++; x.blamed == MoveTries {
			x.after = now
		}
	}
	s.entries[id] = x
}

// Exhausted reports whether an entry was refused MoveTries times for a reason that lies in it, and which.
func (s *Setbacks) Exhausted(id string) (why error, ok bool) {
	x := s.entries[id]
	return x.why, x.blamed >= MoveTries
}

// Waits reports whether an entry waits for its time.
func (s *Setbacks) Waits(id string, now int64) bool { return s.entries[id].after > now }

// Moved forgets an entry.
func (s *Setbacks) Moved(id string) { delete(s.entries, id) }

// Retain forgets all entries but those that are there still.
func (s *Setbacks) Retain(there func(id string) bool) {
	maps.DeleteFunc(s.entries, func(id string, _ setback) bool { return !there(id) })
}

// Len is the number of entries that are remembered.
func (s *Setbacks) Len() int { return len(s.entries) }

// Next is when the first of them has its time; false when there is none.
func (s *Setbacks) Next() (at int64, ok bool) {
	for _, x := range s.entries {
		if !ok || x.after < at {
			at, ok = x.after, true
		}
	}
	return at, ok
}

// WithoutLetters makes of a batch that was refused for a missing right one of which the dead letters were refused and the rest
// was not looked at: the right may be that to the key of the dead letters, which nothing else needs.
func WithoutLetters(items []Disposition, outcomes []Outcome, err error) ([]Outcome, error) {
	if code, _ := Refusal(err); code != "NOPERM" {
		return outcomes, err
	}
	outcomes, letters := make([]Outcome, len(items)), 0
	for i := range items {
		if outcomes[i].Verdict = Left; items[i].Dest == ToDeadLetters || items[i].Dest == ToReference {
			outcomes[i] = Outcome{Verdict: Refused, Reason: err.Error()}
			letters++
		}
	}
	if letters == 0 {
		return nil, err
	}
	return outcomes, nil
}
