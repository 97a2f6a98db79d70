package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// DeadLetter is an announcement that was given up.
type DeadLetter struct {
	Partition  int
	ID         string          // in the dead-letter stream of the partition
	Stream     string          // empty when the announcement cannot be read
	Info       json.RawMessage // as announced; "{}" when there was none, nil when the announcement cannot be read
	Reason     string          // "<class>: <particulars>"; empty when somebody else wrote the letter
	OriginalID string          // of the announcement in the input stream
	Retries    int             // failures counted
	Crashes    int             // deaths of its owners counted
	LastOwner  string          // the consumer for which it was pending last
	At         time.Time       // when it became a dead letter, by the server's clock; zero when it does not say
	Body       []rueidis.XRangeFieldValue
}

// Class is the part of the reason before its first colon: malformed, permanent, retries, crashes, too_wide, or what
// somebody else wrote.
func (l *DeadLetter) Class() string {
	class, _, _ := strings.Cut(l.Reason, ":")
	return class
}

// Selection says which dead letters are meant; fields left zero leave nothing out, so the zero value means all.
type Selection struct {
	// Partitions are those to look at; nil for all. Numbers that the service does not have match nothing.
	Partitions []int

	// Reason is what the reason begins with: a class, as "crashes", or more of it.
	Reason string

	// Stream is the name of the data stream.
	Stream string
}

func (s Selection) matches(l *DeadLetter) bool {
	return strings.HasPrefix(l.Reason, s.Reason) && (s.Stream == "" || l.Stream == s.Stream)
}

func (s Selection) partitions(layout *cluster.Layout) []int {
	if s.Partitions == nil {
		all := make([]int, layout.Partitions())
		for p := range all {
			all[p] = p
		}
		return all
	}
	var chosen []int
	for _, p := range s.Partitions {
		if p >= 0 && p < layout.Partitions() {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// Letters yields the selected dead letters, partition by partition and the oldest first. It reads page by page while it
// is ranged over; letters that come after it has begun with a partition are left out. An error is yielded once, with a
// zero letter, and is the last.
func (i *Inspector) Letters(ctx context.Context, s Selection) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		err := i.pages(ctx, s, func(_ *cluster.Layout, _ int, page []DeadLetter) error {
			for _, l := range page {
				if !yield(l, nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(DeadLetter{}, err)
		}
	}
}

// errEnough ends pages early.
var errEnough = errors.New("enough")

// CountLetters counts the selected dead letters by the class of their reason. It reads all of them, page by page; how
// many there are of all classes, Backlog tells at once.
func (i *Inspector) CountLetters(ctx context.Context, s Selection) (classes map[string]int, err error) {
	classes = make(map[string]int)
	err = i.pages(ctx, s, func(_ *cluster.Layout, _ int, page []DeadLetter) error {
		for n := range page {
			classes[page[n].Class()]++
		}
		return nil
	})
	return classes, err
}

// SendBack hands the selected dead letters out again: each is moved to the input stream that it came from, in one step,
// with its counts of retries and crashes from zero. It answers how many were moved. Letters that come after it has
// begun, those included that come back from where they were sent, stay.
//
// A letter with more fields than can be copied (about 3,900) stays, the others are moved, and the error says which. Any
// other error ends it: where the input stream takes nothing more, is of another type, or the server is full, the rest
// stays where it is. After an error of the connection the page on its way may have been moved. Nothing is lost in any
// case, and the call may be repeated.
func (i *Inspector) SendBack(ctx context.Context, s Selection) (moved int, err error) {
	var wide failures
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		n, err := i.sendPage(ctx, layout, p, page, &wide)
		moved += n
		return err
	})
	return moved, errors.Join(wide.err(), err)
}

func (i *Inspector) sendPage(ctx context.Context, layout *cluster.Layout, p int, page []DeadLetter, wide *failures) (moved int, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(p)
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, lease.Call{
		Script: scriptSendBack, Keys: []string{k.Input, k.DeadLetters}, Args: letterIDs(page),
	}), len(page))
	if err != nil {
		return 0, explained("sending dead letters of "+k.DeadLetters+" back", err)
	}
	for n, o := range outcomes {
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.TooWide:
			wide.add(fmt.Errorf("scan: dead letter %s of %s has more fields than can be copied: it stays there", page[n].ID, k.DeadLetters))
		case lease.NotPending: // somebody else was faster
		default:
			err = fmt.Errorf("scan: sending dead letter %s of %s back to %s: %s", page[n].ID, k.DeadLetters, k.Input, o.Reason)
		}
	}
	return moved, err
}

// Drop deletes the selected dead letters for good, and answers how many that were. Letters that come after it has begun
// stay. After an error of the connection the page on its way may have been deleted.
func (i *Inspector) Drop(ctx context.Context, s Selection) (dropped int, err error) {
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		ctx, cancel := i.bounded(ctx)
		defer cancel()
		dead := layout.Keys(p).DeadLetters
		n, err := i.run.Do(ctx, lease.Call{Script: scriptDrop, Keys: []string{dead}, Args: letterIDs(page)}).AsInt64()
		dropped += int(n)
		return explained("dropping dead letters of "+dead, err)
	})
	return dropped, err
}

func letterIDs(page []DeadLetter) []string {
	ids := make([]string, len(page))
	for n := range page {
		ids[n] = page[n].ID
	}
	return ids
}

// pages calls do with the selected dead letters, a page at a time, of each partition up to the last one that was there
// at the first look.
func (i *Inspector) pages(ctx context.Context, s Selection, do func(layout *cluster.Layout, p int, page []DeadLetter) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		from, to := "-", "+"
		for {
			letters, last, err := i.letters(ctx, layout, p, from, to)
			if err != nil {
				return explained("reading "+layout.Keys(p).DeadLetters, err)
			}
			if len(letters) == 0 {
				break
			}
			from = "(" + letters[len(letters)-1].ID
			if to == "+" {
				to = last
			}
			chosen := letters[:0]
			for _, l := range letters {
				if s.matches(&l) {
					chosen = append(chosen, l)
				}
			}
			if len(chosen) == 0 {
				continue
			}
			if err := do(layout, p, chosen); err != nil {
				return err
			}
		}
	}
	return nil
}

// letters reads one page, and the greatest ID that there is.
func (i *Inspector) letters(ctx context.Context, layout *cluster.Layout, p int, from, to string) (page []DeadLetter, last string, err error) {
	parts, err := i.call(ctx, lease.Call{
		Script: scriptLetters,
		Keys:   []string{layout.Keys(p).DeadLetters},
		Args:   []string{from, to, strconv.Itoa(i.set.Page)},
	}, 1)
	if err != nil {
		return nil, "", err
	}
	if last, err = parts[0].ToString(); err != nil {
		return nil, "", err
	}
	for n := range parts[1:] {
		e, err := parts[n+1].AsXRangeSlice()
		if err != nil {
			return nil, "", err
		}
		page = append(page, parseLetter(layout, p, e.ID, e.FieldValues))
	}
	return page, last, nil
}

func parseLetter(layout *cluster.Layout, p int, id string, body []rueidis.XRangeFieldValue) DeadLetter {
	l := DeadLetter{Partition: p, ID: id, Body: body}
	entry, err := lease.ParseEntry(layout, p, id, body)
	if err == nil {
		l.Stream, l.Info = entry.Stream, entry.Info
	}
	l.Retries, l.Crashes = entry.Retries, entry.Crashes
	for _, f := range body {
		switch f.Field {
		case lease.FieldReason:
			l.Reason = f.Value
		case lease.FieldOriginalID:
			l.OriginalID = f.Value
		case lease.FieldLastOwner:
			l.LastOwner = f.Value
		case lease.FieldDeadAt:
			if ms, err := strconv.ParseInt(f.Value, 10, 64); err == nil {
				l.At = time.UnixMilli(ms)
			}
		}
	}
	return l
}

// toldFailures is how many failures an error names one by one.
const toldFailures = 10

// failures are the first few errors of a long call, and the number of the others.
type failures struct {
	first []error
	more  int
}

func (f *failures) add(err error) {
	if len(f.first) < toldFailures {
		f.first = append(f.first, err)
	} else {
		f.more++
	}
}

func (f *failures) err() error {
	if f.more > 0 {
		return errors.Join(append(f.first, fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.first...)
}
