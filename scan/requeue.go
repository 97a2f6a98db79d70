package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// Errors of Requeue, beside those of package api.
var (
	// ErrRequeued: somebody else queued the announcement again, or finished it, in the meantime. It matches
	// api.ErrNotAnnounced. Nothing is left to do.
	ErrRequeued error = &alreadyError{}

	// ErrUndecided: nobody may be found dead now: the partition settles after a change of server, Redis was out of reach
	// just now, or the owner's session is gone, so that it is unknown whether it lives. Ask again after a session TTL;
	// if the owner is dead, the announcement is recovered by itself then.
	ErrUndecided = errors.New("scan: it cannot be told now whether the owner lives")

	// ErrDeadLetter: the owners of the stream died so often that its announcement became a dead letter instead.
	ErrDeadLetter = errors.New("scan: the announcement became a dead letter")
)

type alreadyError struct{}

func (*alreadyError) Error() string { return "scan: somebody else has queued it again, or finished it" }
func (*alreadyError) Unwrap() error { return api.ErrNotAnnounced }

// requeueTries is how often the lease of a stream may turn out to name yet another entry.
const requeueTries = 3

// Requeue queues an announcement of a stream again at once that was left in partition p by a consumer which is dead,
// has closed, or owns nothing and has no session. me is the asking consumer, whose session must live. Nil means that
// it was queued again.
//
// A crash of the owner counts as with Recover, but not of those that own reports (nil: none); its delay is left out, since
// somebody asks for the stream now. Errors
// match api.ErrHeldElsewhere when the owner lives, or a living consumer has the announcement; api.ErrNotAnnounced when
// no dead consumer left one; ErrRequeued, ErrUndecided or ErrDeadLetter.
//
// Without a lease that names the entry, all that dead consumers left in the partition is looked through, page by page.
func (s *Store) Requeue(ctx context.Context, p int, me, stream string, own func(consumer string) bool) error {
	candidate, err := s.owned(ctx, p, stream)
	if err != nil {
		return err
	}
	if candidate == nil {
		if candidate, err = s.search(ctx, p, stream); err != nil {
			return err
		}
	}
	for range requeueTries {
		if candidate == nil {
			return fmt.Errorf("%w: no dead consumer left stream %.64q", api.ErrNotAnnounced, stream)
		}
		if own != nil && own(candidate.consumer) {
			candidate.death = Death{}
		}
		if candidate, err = s.requeueOne(ctx, p, me, stream, candidate); err != nil || candidate == nil {
			return err
		}
	}
	return fmt.Errorf("%w: stream %.64q changes hands", ErrUndecided, stream)
}

// orphaned is an entry and the consumer for which it is pending.
type orphaned struct {
	Orphan
	consumer string
	death    Death
}

// owned is the entry that the lease of a stream names, nil when there is no lease.
func (s *Store) owned(ctx context.Context, p int, stream string) (*orphaned, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	parts, err := s.run.Do(ctx, lease.Call{
		Script: scriptOwner, Keys: []string{k.Lease(stream), k.Sessions, k.Input}, Args: []string{s.layout.Group()},
	}).ToArray()
	if err != nil || len(parts) < 6 {
		return nil, explained(fmt.Sprintf("owner of stream %.64q", stream), orMalformed(err))
	}
	value, err := parts[1].ToString()
	if err != nil {
		return nil, nil
	}
	now, err := parts[0].AsInt64()
	if err != nil {
		return nil, err
	}
	held, err := lease.ParseValue(value)
	if err != nil {
		return nil, explained(fmt.Sprintf("owner of stream %.64q", stream), err)
	}
	holder := member{name: held.Consumer}
	if deadline, err := parts[3].AsFloat64(); err == nil {
		holder.deadline, holder.known = deadline, true
	}
	ttl, err := parts[5].AsInt64()
	if err != nil {
		return nil, err
	}
	holder.ttl = time.Duration(ttl) * time.Millisecond
	return s.pendingOne(ctx, p, holder, held.Entry, now)
}

// pendingOne is an entry as it is pending for a consumer, as gone when it is not.
func (s *Store) pendingOne(ctx context.Context, p int, by member, entry string, now int64) (*orphaned, error) {
	page, err := s.pendingPage(ctx, p, by.name, entry, 1)
	if err != nil {
		return nil, err
	}
	found := orphaned{consumer: by.name, death: by.death(now)}
	found.ID, found.Gone = entry, true
	if len(page) == 1 && page[0].ID == entry {
		found.Orphan = page[0]
	}
	return &found, nil
}

func (s *Store) pendingPage(ctx context.Context, p int, consumer, from string, count int) ([]Orphan, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.run.Do(ctx, lease.Call{
		Script: scriptHoldings,
		Keys:   []string{s.layout.Keys(p).Input},
		Args:   append([]string{s.layout.Group(), consumer, from, strconv.Itoa(count)}, lease.BodyArgs(lease.NameOnly)...),
	}).ToArray()
	if err != nil {
		return nil, explained("what "+consumer+" left", err)
	}
	page := make([]Orphan, len(rows))
	for n, row := range rows {
		pending, err := lease.ParsePending(p, row)
		if err != nil {
			return nil, explained("what "+consumer+" left", err)
		}
		page[n] = s.readable(p, pending)
	}
	return page, nil
}

// search looks for the first entry of a stream that is pending for a consumer without a living session, nil when there
// is none.
func (s *Store) search(ctx context.Context, p int, stream string) (*orphaned, error) {
	members, now, err := s.members(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.pending == 0 || m.known && m.deadline > float64(now) {
			continue
		}
		for from := "-"; ; {
			page, err := s.pendingPage(ctx, p, m.name, from, max(s.set.Page, 1))
			if err != nil {
				return nil, err
			}
			if len(page) == 0 {
				break
			}
			for n := range page {
				if page[n].Readable && page[n].Stream == stream {
					return &orphaned{Orphan: page[n], consumer: m.name, death: m.death(now)}, nil
				}
			}
			from = "(" + page[len(page)-1].ID
		}
	}
	return nil, nil
}

// sentence is what becomes of an orphan that somebody asks for: what recovery does, but at once. Whether it is to blame
// for the death of its owners cannot be seen without the others, so it becomes a dead letter only if it would be one in any
// company, and else gets no mark.
func (s *Store) sentence(o *orphaned) lease.Disposition {
	r := s.set.Judge(&o.Orphan, o.death, 0)
	r.Weigh(&o.Entry)
	if !o.Readable && !o.Gone {
		if why := malformed(s.layout, &o.PendingEntry); why != "" {
			r.Dest, r.Reason = lease.ToDeadLetters, why
			return r
		}
	}
	c := s.set.WithDefaults()
	if r.Dest == lease.ToDeadLetters && (c.MaxCrashes < 0 || r.Crashes >= c.patience()+convicting) {
		return r
	}
	if r.Crashes > c.patience() {
		r.Crashes--
	}
	r.Dest, r.Delay, r.Reason = lease.ToInput, 0, ""
	if r.At > 0 {
		r.Dest = lease.ToLater // not before its producer wants it
	}
	return r
}

// requeueOne gives an orphan up, if it still is one. It returns another candidate when the lease names another entry.
func (s *Store) requeueOne(ctx context.Context, p int, me, stream string, o *orphaned) (*orphaned, error) {
	item := s.sentence(o)
	item.Key = s.layout.Keys(p).Lease(stream)
	for {
		word, second, err := s.orphan(ctx, p, me, o.consumer, item)
		if err != nil {
			return nil, explained(fmt.Sprintf("requeueing stream %.64q", stream), err)
		}
		switch word {
		case "wait":
			return nil, fmt.Errorf("%w: partition %d settles, or was out of reach", ErrUndecided, p)
		case "held":
			return nil, fmt.Errorf("%w: stream %.64q by %s", api.ErrHeldElsewhere, stream, second)
		case "unknown":
			return nil, fmt.Errorf("%w: %s has no session; it was given one", ErrUndecided, second)
		case "other":
			return s.owned(ctx, p, stream)
		}
		if len(word) == 1 && item.Redirect(lease.Outcome{Verdict: lease.Verdict(word[0]), Reason: second}) {
			continue
		}
		return nil, ended(stream, item.Dest, word, second)
	}
}

// ended is the error that a verdict comes to.
func ended(stream string, dest lease.Dest, word, reason string) error {
	var verdict lease.Verdict
	if len(word) == 1 {
		verdict = lease.Verdict(word[0])
	}
	switch verdict {
	case lease.Moved:
		if dest == lease.ToDeadLetters {
			return fmt.Errorf("%w: stream %.64q", ErrDeadLetter, stream)
		}
		return nil
	case lease.Referred:
		return fmt.Errorf("%w that refers to it: stream %.64q", ErrDeadLetter, stream)
	case lease.Full:
		return fmt.Errorf("%w, but their stream is full, so it was put off: stream %.64q", ErrDeadLetter, stream)
	case lease.NotPending:
		return fmt.Errorf("%w: stream %.64q", ErrRequeued, stream)
	case lease.Gone:
		return fmt.Errorf("%w: the body of the entry of stream %.64q was deleted", api.ErrNotAnnounced, stream)
	}
	return fmt.Errorf("scan: requeueing stream %.64q: %s", stream, reason)
}

// orphan runs the script. word is what became of the entry, second the particulars.
func (s *Store) orphan(ctx context.Context, p int, me, dead string, item lease.Disposition) (word, second string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	trim := "0"
	if s.set.DLQTrim {
		trim = "1"
	}
	most := lease.MoveLimit(s.set.MaxMove)
	items := []lease.Disposition{item}
	lease.Refer(items, most)
	keys, args, letters := lease.AppendDispositions([]string{k.Input, k.Sessions, k.Later},
		[]string{dead, s.layout.Group(), me, s.mode, ms(s.set.Gap), ms(s.set.SessionTTL), strconv.Itoa(s.set.DeadLimit()), trim,
			ms(s.set.DLQFullDelay), strconv.Itoa(most)}, items)
	if letters {
		keys = append(keys, k.DeadLetters)
	}
	parts, err := s.run.Do(ctx, lease.Call{Script: scriptRequeueOrphan, Keys: keys, Args: args}).ToArray()
	if err != nil || len(parts) == 0 {
		return "", "", orMalformed(err)
	}
	if word, err = parts[0].ToString(); err != nil || len(parts) == 1 {
		return word, "", err
	}
	// A word of its own, or the index and the text of an error.
	if errors, err := parts[1].ToArray(); err == nil {
		for n := range errors {
			second, _ = errors[n].ToString()
		}
		return word, second, nil
	}
	second, _ = parts[1].ToString()
	return word, second, nil
}
