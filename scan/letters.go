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

	// Reference is the ID of the entry in the input stream that the letter stands for, which could not be copied: it is
	// too large, or Redis refused it again and again. It is still there, pending for nobody and never delivered again; the
	// letter alone names it, and shows the start of its announcement. Stream is known where that tells, Info is not. Empty:
	// the letter has the announcement itself.
	Reference string

	// Size is what that entry weighs, in bytes and 64 for each field; 0 where it is not known, or there is none.
	Size int
}

// Class is the part of the reason before its first colon: malformed, permanent, retries, crashes, too_wide, too_large,
// refused, or what somebody else wrote.
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
// with its counts of retries and crashes from zero; of one that refers to an entry, the entry is copied and deleted. It
// answers how many were moved. Letters that come after it has begun, those included that come back from where they were
// sent, stay.
//
// A letter that cannot be copied stays, the others are moved, and the error says which and why: more fields than can be
// copied (about 3,900), or none of a producer's; more than InspectorConfig.MaxMove; the entry that it refers to is gone, or
// somebody's again. Any other error ends it: where the input stream takes nothing more, is of another type, or the server
// is full, the rest stays where it is. After an error of the connection the page on its way may have been moved. Nothing is
// lost in any case, and the call may be repeated.
func (i *Inspector) SendBack(ctx context.Context, s Selection) (moved int, err error) {
	var stay failures
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		for len(page) > 0 {
			n, left, err := i.sendPage(ctx, layout, p, page, &stay)
			moved += n
			if err != nil {
				return err
			}
			page = left
		}
		return nil
	})
	return moved, errors.Join(stay.err(), err)
}

// sendPage sends as many letters of a page back as one script moves, and returns those that it left.
func (i *Inspector) sendPage(ctx context.Context, layout *cluster.Layout, p int, page []DeadLetter, stay *failures) (moved int, left []DeadLetter, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(p)
	args := []string{layout.Group(), strconv.Itoa(lease.MoveLimit(i.set.MaxMove)), strconv.Itoa(lease.MaxCallWeight)}
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, lease.Call{
		Script: scriptSendBack, Keys: []string{k.Input, k.DeadLetters}, Args: append(args, letterIDs(page)...),
	}), len(page))
	if err != nil {
		return 0, nil, explained("sending dead letters of "+k.DeadLetters+" back", err)
	}
	for n, o := range outcomes {
		l := &page[n]
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.NotPending: // somebody else was faster
		case lease.Left:
			left = append(left, *l)
		case lease.Refused:
			err = fmt.Errorf("scan: sending dead letter %s of %s back to %s: %w", l.ID, k.DeadLetters, k.Input, lease.Explain(o.Err()))
		default:
			stay.add(fmt.Errorf("scan: dead letter %s of %s %s: it stays there", l.ID, k.DeadLetters, i.whyStays(l, o)))
		}
	}
	return moved, left, err
}

// whyStays is why a letter cannot be sent back.
func (i *Inspector) whyStays(l *DeadLetter, o lease.Outcome) string {
	switch o.Verdict {
	case lease.TooWide:
		return "has more fields than can be copied"
	case lease.Bare:
		return "has no field of a producer, so that nothing can be announced with it"
	case lease.TooHeavy:
		return fmt.Sprintf("is for an entry that weighs %s, and MaxMove is %d", o.Reason, lease.MoveLimit(i.set.MaxMove))
	case lease.Gone:
		return fmt.Sprintf("refers to entry %s, which somebody deleted", l.Reference)
	case lease.Owned:
		return fmt.Sprintf("refers to entry %s: %s", l.Reference, o.Reason)
	}
	return fmt.Sprintf("was answered with %q", rune(o.Verdict))
}

// Drop deletes the selected dead letters for good, and with them the entries that they refer to, but for those that are
// pending or undelivered again. It answers how many letters that were. Letters that come after it has begun stay. After an
// error of the connection the page on its way may have been deleted.
func (i *Inspector) Drop(ctx context.Context, s Selection) (dropped int, err error) {
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		ctx, cancel := i.bounded(ctx)
		defer cancel()
		k := layout.Keys(p)
		keys, args, refers := []string{k.DeadLetters}, []string{layout.Group()}, false
		for n := range page {
			args = append(args, page[n].ID, page[n].Reference)
			refers = refers || page[n].Reference != ""
		}
		if refers {
			keys = append(keys, k.Input)
		}
		n, err := i.run.Do(ctx, lease.Call{Script: scriptDrop, Keys: keys, Args: args}).AsInt64()
		dropped += int(n)
		return explained("dropping dead letters of "+k.DeadLetters, err)
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
		Args:   []string{from, to, strconv.Itoa(i.set.Page), strconv.Itoa(lease.MaxCallWeight)},
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
	l.Retries, l.Crashes = entry.Retries, entry.Crashes
	ours := make(map[string]string) // of each field the first
	for _, f := range body {
		if _, twice := ours[f.Field]; !twice && isOurs(f.Field) {
			ours[f.Field] = f.Value
		}
	}
	l.Reason, l.OriginalID, l.LastOwner = ours[lease.FieldReason], ours[lease.FieldOriginalID], ours[lease.FieldLastOwner]
	if ms, err := strconv.ParseInt(ours[lease.FieldDeadAt], 10, 64); err == nil {
		l.At = time.UnixMilli(ms)
	}
	// Named twice, as in reference.lua: a producer's own field means nothing.
	if ref := ours[lease.FieldReference]; ref != "" && ref == l.OriginalID {
		l.Reference = ref
		l.Size, _ = strconv.Atoi(ours[lease.FieldSize])
	}
	switch {
	case l.Reference != "":
		l.Stream = streamOf(ours[lease.FieldAnnouncement])
	case err == nil:
		l.Stream, l.Info = entry.Stream, entry.Info
	}
	return l
}

func isOurs(field string) bool {
	switch field {
	case lease.FieldAnnouncement, lease.FieldReason, lease.FieldOriginalID, lease.FieldLastOwner, lease.FieldDeadAt,
		lease.FieldReference, lease.FieldSize:
		return true
	}
	return false
}

// streamOf is the name in an announcement of which there is only the start; empty where that does not tell.
func streamOf(cut string) string {
	d := json.NewDecoder(strings.NewReader(cut))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		if key != "DataStreamName" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return ""
			}
			continue
		}
		name, _ := d.Token()
		text, _ := name.(string)
		return text
	}
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
