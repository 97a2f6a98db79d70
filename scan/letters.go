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
