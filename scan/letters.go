package scan

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// DeadLetter is an announcement that was given up on.
type DeadLetter struct {
	Partition  int
	ID         string          // in the dead-letter stream of the partition
	Stream     string          // empty when the announcement cannot be parsed
	Info       json.RawMessage // as announced; "{}" when there was none, nil when the announcement cannot be parsed
	Reason     string          // "<class>: <details>"; empty when something else wrote the letter
	OriginalID string          // of the announcement in the input stream
	Retries    int             // failures counted
	Crashes    int             // crashes of its owners counted
	LastOwner  string          // the consumer for which it was pending last
	At         time.Time       // when it became a dead letter, by the server's clock; zero when the letter does not say
	Body       []rueidis.XRangeFieldValue

	// Reference is the ID of the entry in the input stream that the letter stands for, which could not be copied: it is too
	// large, or Redis refused it again and again. The entry is still there, not pending and never delivered again. Only the
	// letter names it, and it has the start of its announcement: Stream is set where that is enough, Info is not. Empty: the
	// letter has the announcement itself.
	Reference string

	// Size is the weight of that entry, in bytes plus 64 for each field; 0 where it is unknown, or there is none.
	Size int
}

// Class returns the part of the reason before its first colon: malformed, permanent, retries, crashes, too_wide, too_large,
// refused, or whatever something else wrote.
func (l *DeadLetter) Class() string {
	class, _, _ := strings.Cut(l.Reason, ":")
	return class
}

// Letters yields the selected dead letters, partition by partition, the oldest first. It reads page by page during the
// iteration, and leaves out letters that arrive after it has begun with their partition. An error is yielded once, with a zero
// letter, and ends the iteration.
func (i *Inspector) Letters(ctx context.Context, s Selection) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		err := i.letterPages(ctx, s, func(_ *cluster.Layout, _ int, page []DeadLetter) error {
			for _, l := range page {
				if !yield(l, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(DeadLetter{}, err)
		}
	}
}

// errStop ends the paging early.
var errStop = errors.New("enough")

// CountLetters counts the selected dead letters by the class of their reason. It reads all of them, page by page; for the number
// of all letters Backlog needs no such reading.
func (i *Inspector) CountLetters(ctx context.Context, s Selection) (classes map[string]int, err error) {
	classes = make(map[string]int)
	err = i.letterPages(ctx, s, func(_ *cluster.Layout, _ int, page []DeadLetter) error {
		for n := range page {
			classes[page[n].Class()]++
		}
		return nil
	})
	return classes, err
}

// letterPages calls do with the selected dead letters, a page at a time, up to the last letter of each partition that was there
// when it began.
func (i *Inspector) letterPages(ctx context.Context, s Selection, do func(layout *cluster.Layout, p int, page []DeadLetter) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		from, to := "-", "+"
		if s.ID != "" {
			from, to = s.ID, s.ID
		}
		for more := true; more; more = s.ID == "" {
			letters, last, err := i.letterPage(ctx, layout, p, from, to)
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

// letterPage reads one page, and the greatest ID of the dead-letter stream.
func (i *Inspector) letterPage(ctx context.Context, layout *cluster.Layout, p int, from, to string) (page []DeadLetter, last string, err error) {
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
	own := make(map[string]string) // the first value of each of our fields
	for _, f := range body {
		if _, twice := own[f.Field]; !twice && isOwnField(f.Field) {
			own[f.Field] = f.Value
		}
	}
	l.Reason, l.OriginalID, l.LastOwner = own[lease.FieldReason], own[lease.FieldOriginalID], own[lease.FieldLastOwner]
	if ms, err := strconv.ParseInt(own[lease.FieldDeadAt], 10, 64); err == nil {
		l.At = momentOf(float64(ms))
	}
	// The ID has to be there twice, as in the scripts: a field that a producer wrote means nothing.
	if ref := own[lease.FieldReference]; ref != "" && ref == l.OriginalID {
		l.Reference = ref
		l.Size, _ = strconv.Atoi(own[lease.FieldSize])
	}
	switch {
	case l.Reference != "":
		l.Stream = streamOf(own[lease.FieldAnnouncement])
	case err == nil:
		l.Stream, l.Info = entry.Stream, entry.Info
	}
	return l
}

func isOwnField(field string) bool {
	switch field {
	case lease.FieldAnnouncement, lease.FieldReason, lease.FieldOriginalID, lease.FieldLastOwner, lease.FieldDeadAt,
		lease.FieldReference, lease.FieldSize:
		return true
	}
	return false
}

// streamOf returns the stream name from the start of an announcement; empty where that does not contain it.
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

func (s Selection) matches(l *DeadLetter) bool {
	return strings.HasPrefix(l.Reason, s.Reason) && (s.Stream == "" || l.Stream == s.Stream) && (s.ID == "" || l.ID == s.ID)
}
