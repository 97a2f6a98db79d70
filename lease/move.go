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
	// DefaultMaxMove is the greatest weight of an entry that is copied. The server copies 16 MiB in about 70 ms, during which it
	// serves nobody else.
	DefaultMaxMove = 16 << 20

	// MaxCut is how much of an announcement a dead letter by reference shows, in bytes.
	MaxCut = 4 << 10

	// MoveTries is how often the server may refuse to move an entry, for a reason that lies in the entry, before it is
	// dead-lettered by reference. Refusals for a reason that lies in the server never dead-letter an entry.
	MoveTries = 4

	// maxWhy is how much of a reason a dead letter keeps, in bytes.
	maxWhy = 1024
)

// Fields of a dead letter by reference, which refers to an entry of the input stream.
const (
	FieldReference = "_reference" // the entry's ID
	FieldSize      = "_size"      // the entry's weight
)

// Classes of dead letters that more than one package makes: the reason begins with one.
const (
	DeadMalformed = "malformed"
	DeadTooWide   = "too_wide"
	DeadTooLarge  = "too_large"
	DeadRefused   = "refused"
)

// MoveLimit resolves Settings.MaxMove: 0 is no limit.
func MoveLimit(most int) int {
	if most == 0 {
		return DefaultMaxMove
	}
	return max(most, 0)
}

// RequeueEntry returns the Disposition that gives an entry back which Parse parsed with the error err: to the input stream, or to
// later if its producer scheduled it. An entry that cannot be parsed is dead-lettered, since nobody else could parse it either;
// unless its body was not read, or its name is beyond the part that was. unknown is the lease key for an entry whose stream is
// not known: that of the empty name.
func RequeueEntry(x *Entry, err error, unknown string) Disposition {
	r := Disposition{Key: x.Key, Entry: x.ID, Token: AnyToken, Dest: ToInput, Retries: KeepCount, Crashes: KeepCount}
	if r.Key == "" {
		r.Key = unknown
	}
	switch {
	case err != nil && !errors.Is(err, ErrNameCut) && x.read():
		r.Dest, r.Reason = ToDeadLetters, clipped(DeadMalformed+": "+err.Error())
	case x.NotBefore > 0:
		r.Dest, r.At = ToLater, x.NotBefore // a copy does not carry the time
	}
	r.Weigh(x)
	return r
}

// read reports whether the body was read: every entry has a field.
func (x *Entry) read() bool { return len(x.Body) > 0 || x.Fields > 0 }

// Weigh records what an entry weighs, if that is known, and for a heavy one the part that a dead letter will show.
func (r *Disposition) Weigh(x *Entry) {
	r.Size = x.Size
	if x.Size <= MaxCallWeight {
		return // the script reads it itself
	}
	for _, f := range x.Body {
		if f.Field == FieldAnnouncement {
			r.Cut = strings.Clone(f.Value[:min(len(f.Value), MaxCut)])
			return
		}
	}
}

// Refer dead-letters by reference those of items that are known to weigh more than most; most 0: none.
func Refer(items []Disposition, most int) {
	for i := range items {
		if r := &items[i]; most > 0 && r.Size > most && r.Dest != ToReference {
			r.refer(fmt.Sprintf("%s: it weighs %d, and no more than %d is copied", DeadTooLarge, r.Size, most))
			if r.Cut == "" && r.Size <= MaxCallWeight {
				r.Size = 0 // light enough for the script to read it
			}
		}
	}
}

// refer turns r into a dead letter by reference. If it was to be a dead letter anyway, it keeps that reason.
func (r *Disposition) refer(why string) {
	if r.Dest != ToDeadLetters || r.Reason == "" {
		r.Reason = clipped(why)
	}
	r.Dest = ToReference
}

// DeadLetterByReference dead-letters by reference an entry that the server has refused to move too often.
func (r *Disposition) DeadLetterByReference(why error) { r.refer(DeadRefused + ": " + why.Error()) }

// Redirect changes the destination of an entry that, by its outcome, cannot go where it was sent. It reports whether it did:
// then the call is to be repeated.
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

// Move moves items by calls of ask, each of which weighs no more than MaxCallWeight and carries no more than size allows, and
// calls done with the outcome of each item. A call that is refused for what it carries is made smaller, down to the one item
// that is to blame, for which done gets the outcome Refused; the others go on. Move returns an error that has nothing to do with
// the items, or the lack of an answer; the rest is left undone then.
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
			return fmt.Errorf("none of %d entries was processed", left)
		}
		queue = append(again, queue[len(batch):]...)
	}
	return nil
}

// Setbacks remembers which entries the server refuses to move, so that each is retried at its own time and delays no other. It
// is passive, and not safe for concurrent use. The zero value is ready for use.
type Setbacks struct {
	entries map[string]setback
}

type setback struct {
	refused int // in a row
	blamed  int // of these, for a reason that lies in the entry
	why     error
	after   int64
}

// Refused records that an entry was refused. It waits from now on for the time that wait returns for the number of refusals in
// a row; after the last one, which exhausts its tries, it does not wait.
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

// Exhausted reports whether an entry was refused MoveTries times for a reason that lies in the entry, and the last such reason.
func (s *Setbacks) Exhausted(id string) (why error, ok bool) {
	x := s.entries[id]
	return x.why, x.blamed >= MoveTries
}

// Waits reports whether an entry still waits for its next try.
func (s *Setbacks) Waits(id string, now int64) bool { return s.entries[id].after > now }

// Moved forgets an entry.
func (s *Setbacks) Moved(id string) { delete(s.entries, id) }

// Retain forgets all entries except those that are still there.
func (s *Setbacks) Retain(there func(id string) bool) {
	maps.DeleteFunc(s.entries, func(id string, _ setback) bool { return !there(id) })
}

// Len returns the number of entries that are remembered.
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

// WithoutLetters turns the refusal of a batch for a missing right into outcomes: its dead letters were refused, and the rest was
// not looked at. The missing right may be the one to the key of the dead letters, which nothing else needs.
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
