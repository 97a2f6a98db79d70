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

// Errors of Requeue, in addition to those of package api.
var (
	// ErrRequeued means that another consumer requeued or finished the announcement in the meantime. It matches
	// api.ErrNotAnnounced. Nothing is left to do.
	ErrRequeued error = &alreadyError{}

	// ErrUndecided means that no consumer may be declared dead now: the partition settles after a change of server, Redis was
	// out of reach a moment ago, or the owner's session is gone, so that it is unknown whether it is alive. Ask again after a
	// session TTL; if the owner is dead, the announcement is recovered by then without being asked for.
	ErrUndecided = errors.New("scan: cannot tell now whether the owner is alive")

	// ErrDeadLetter means that the announcement became a dead letter instead: its owners died too often, or it cannot be copied
	// or parsed.
	ErrDeadLetter = errors.New("scan: the announcement became a dead letter")
)

type alreadyError struct{}

func (*alreadyError) Error() string { return "scan: another consumer has requeued or finished it" }
func (*alreadyError) Unwrap() error { return api.ErrNotAnnounced }

// DelayedError is an error of Requeue: the stream is announced, and delayed until a time. Nothing was changed; it is handed out then.
// Inspector.BringForward hands it out now. It matches api.ErrNotAnnounced, since nothing was left behind that could be requeued;
// but the stream need not be announced again.
type DelayedError struct {
	Stream string
	Until  time.Time // by the server's clock
}

// Error says until when.
func (e *DelayedError) Error() string {
	return fmt.Sprintf("scan: stream %.64q is announced, and delayed until %s", e.Stream, e.Until.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// Unwrap returns api.ErrNotAnnounced.
func (e *DelayedError) Unwrap() error { return api.ErrNotAnnounced }

// requeueTries is how many entries Requeue tries while the lease of the stream turns out to name yet another one.
const requeueTries = 3

// Requeue requeues at once an announcement of a stream that was left in partition p by a consumer that is dead, has closed, or
// owns nothing and has no session. me is the asking consumer, whose session must be alive. Nil means that the announcement
// was requeued.
//
// A crash of the owner counts as it does in Recover, except for consumers that own reports (nil: none). Its delay is left out,
// since the stream is wanted now. Errors match api.ErrHeldElsewhere when the owner is alive, or a live consumer has the
// announcement; api.ErrNotAnnounced when no dead consumer left one, and then it is a *DelayedError if one is delayed; ErrRequeued,
// ErrUndecided or ErrDeadLetter.
//
// Without a lease that names the entry, everything that dead consumers left in the partition is searched, page by page, and then
// everything that is delayed there.
func (s *Store) Requeue(ctx context.Context, p int, me, stream string, own func(consumer string) bool) error {
	candidate, err := s.findByLease(ctx, p, stream)
	if err != nil {
		return err
	}
	if candidate == nil {
		if candidate, err = s.findByScan(ctx, p, stream); err != nil {
			return err
		}
	}
	for range requeueTries {
		if candidate == nil {
			if err := s.delayed(ctx, p, stream); err != nil {
				return err
			}
			return fmt.Errorf("%w: no dead consumer left stream %.64q", api.ErrNotAnnounced, stream)
		}
		if own != nil && own(candidate.consumer) {
			candidate.end = sessionEnd{}
		}
		if candidate, err = s.requeueOne(ctx, p, me, stream, candidate); err != nil || candidate == nil {
			return err
		}
	}
	return fmt.Errorf("%w: stream %.64q changes hands", ErrUndecided, stream)
}

// candidate is an entry and the consumer for which it is pending.
type candidate struct {
	orphan
	consumer string
	end      sessionEnd
}

// findByLease returns the entry that the lease of a stream names, or nil when there is no lease.
func (s *Store) findByLease(ctx context.Context, p int, stream string) (*candidate, error) {
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
	holder := consumerInfo{name: held.Consumer}
	holder.setDeadline(&parts[3])
	ttl, err := parts[5].AsInt64()
	if err != nil {
		return nil, err
	}
	holder.ttl = time.Duration(ttl) * time.Millisecond
	return s.pendingOne(ctx, p, holder, held.Entry, now)
}

// pendingOne returns an entry as it is pending for a consumer, marked as gone when it is not.
func (s *Store) pendingOne(ctx context.Context, p int, by consumerInfo, entry string, now int64) (*candidate, error) {
	page, err := s.pendingPage(ctx, p, by.name, entry, 1)
	if err != nil {
		return nil, err
	}
	found := candidate{consumer: by.name, end: by.end(now)}
	found.ID, found.Gone = entry, true
	if len(page) == 1 && page[0].ID == entry {
		found.orphan = page[0]
	}
	return &found, nil
}

func (s *Store) pendingPage(ctx context.Context, p int, consumer, from string, count int) ([]orphan, error) {
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
	page := make([]orphan, len(rows))
	for n, row := range rows {
		pending, err := lease.ParsePending(p, row)
		if err != nil {
			return nil, explained("what "+consumer+" left", err)
		}
		page[n] = s.parseOrphan(p, pending)
	}
	return page, nil
}

// findByScan returns the first entry of a stream that is pending for a consumer without a live session, or nil when there is
// none.
func (s *Store) findByScan(ctx context.Context, p int, stream string) (*candidate, error) {
	consumers, now, err := s.consumers(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, c := range consumers {
		if c.pending == 0 || c.known && c.deadline > float64(now) {
			continue
		}
		for from := "-"; ; {
			page, err := s.pendingPage(ctx, p, c.name, from, max(s.set.Page, 1))
			if err != nil {
				return nil, err
			}
			if len(page) == 0 {
				break
			}
			for n := range page {
				if page[n].readable && page[n].Stream == stream {
					return &candidate{orphan: page[n], consumer: c.name, end: c.end(now)}, nil
				}
			}
			from = "(" + page[len(page)-1].ID
		}
	}
	return nil, nil
}

// decideRequeue decides what becomes of an orphan that is asked for: the same as in recovery, but at once. Whether it killed
// its owners cannot be seen without the rest of its cohort, so it is dead-lettered only if it would be in any cohort, and gets
// no strike otherwise.
func (s *Store) decideRequeue(o *candidate) lease.Disposition {
	r := s.set.decide(&o.orphan, o.end, 0)
	r.Weigh(&o.Entry)
	if !o.readable && !o.Gone {
		if why := malformed(s.layout, &o.PendingEntry); why != "" {
			r.Dest, r.Reason = lease.ToDeadLetters, why
			return r
		}
	}
	c := s.set.WithDefaults()
	if r.Dest == lease.ToDeadLetters && (c.MaxCrashes < 0 || r.Crashes >= c.strikeFloor()+poisonStrikes) {
		return r
	}
	if r.Crashes > c.strikeFloor() {
		r.Crashes--
	}
	r.Dest, r.Delay, r.Reason = lease.ToInput, 0, ""
	if r.At > 0 {
		r.Dest = lease.ToLater // not before the time that its producer set
	}
	return r
}

// requeueOne requeues an orphan, if it still is one. It returns another candidate when the lease names another entry.
func (s *Store) requeueOne(ctx context.Context, p int, me, stream string, o *candidate) (*candidate, error) {
	item := s.decideRequeue(o)
	item.Key = s.layout.Keys(p).Lease(stream)
	for {
		word, second, err := s.runOrphan(ctx, p, me, o.consumer, item)
		if err != nil {
			return nil, explained(fmt.Sprintf("requeueing stream %.64q", stream), err)
		}
		switch word {
		case "wait":
			return nil, fmt.Errorf("%w: partition %d is settling, or was out of reach", ErrUndecided, p)
		case "held":
			return nil, fmt.Errorf("%w: stream %.64q by %s", api.ErrHeldElsewhere, stream, second)
		case "unknown":
			return nil, fmt.Errorf("%w: %s has no session; it was given one", ErrUndecided, second)
		case "other":
			return s.findByLease(ctx, p, stream)
		}
		if len(word) == 1 && item.Redirect(lease.Outcome{Verdict: lease.Verdict(word[0]), Reason: second}) {
			continue
		}
		return nil, requeueError(stream, item.Dest, word, second)
	}
}

// requeueError returns the error for a verdict.
func requeueError(stream string, dest lease.Dest, word, reason string) error {
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
		return fmt.Errorf("%w, but the dead-letter stream is full, so it was delayed: stream %.64q", ErrDeadLetter, stream)
	case lease.NotPending:
		return fmt.Errorf("%w: stream %.64q", ErrRequeued, stream)
	case lease.Gone:
		return fmt.Errorf("%w: the body of the entry of stream %.64q was deleted", api.ErrNotAnnounced, stream)
	}
	return fmt.Errorf("scan: requeueing stream %.64q: %s", stream, reason)
}

// runOrphan runs the script that requeues one orphan. word is what became of the entry, second the details.
func (s *Store) runOrphan(ctx context.Context, p int, me, dead string, item lease.Disposition) (word, second string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	most := lease.MoveLimit(s.set.MaxMove)
	items := []lease.Disposition{item}
	lease.Refer(items, most)
	keys, args, letters := lease.AppendDispositions([]string{k.Input, k.Sessions, k.Later},
		[]string{dead, s.layout.Group(), me, s.mode, ms(s.set.Gap), ms(s.set.SessionTTL), strconv.Itoa(s.set.DeadLimit()), flag(s.set.DLQTrim),
			ms(s.set.DLQFullDelay), strconv.Itoa(most)}, items)
	if letters {
		keys = append(keys, k.DeadLetters)
	}
	parts, err := s.run.DoWith(ctx, s.set.Signals, p, lease.Call{Script: scriptRequeueOrphan, Keys: keys, Args: args}).ToArray()
	if err != nil || len(parts) == 0 {
		return "", "", orMalformed(err)
	}
	if word, err = parts[0].ToString(); err != nil || len(parts) == 1 {
		return word, "", err
	}
	// The details are a text, or the index and the text of an error.
	if errors, err := parts[1].ToArray(); err == nil {
		for n := range errors {
			second, _ = errors[n].ToString()
		}
		return word, second, nil
	}
	second, _ = parts[1].ToString()
	return word, second, nil
}

// delayed returns a DelayedError if an announcement of a stream is delayed in a partition: the first that is due.
func (s *Store) delayed(ctx context.Context, p int, stream string) error {
	at := delayedCursor{run: s.run, layout: s.layout, partition: p, stream: stream, most: delayedScan}
	for !at.ended {
		page, err := s.delayedPage(ctx, &at)
		if err != nil {
			return explained(fmt.Sprintf("looking for stream %.64q in %s", stream, s.layout.Keys(p).Later), err)
		}
		if len(page) > 0 {
			return &DelayedError{Stream: stream, Until: page[0].Due}
		}
	}
	return nil
}

func (s *Store) delayedPage(ctx context.Context, at *delayedCursor) ([]Delayed, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return at.page(ctx)
}
