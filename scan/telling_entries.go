package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// entryRow is an announcement of the stream, as the script returns it.
type entryRow struct {
	StreamEntry
	number int // among those that the script looked at, from 1
}

// entryPage is an answer of the script.
type entryPage struct {
	end    string // of the range
	last   string // that was looked at; empty: none
	looked int
	ended  bool
	rows   []entryRow
}

// readEntries looks for the announcements of the stream: those that its lease names, and then those among what was delivered, and
// among what was not.
func (t *telling) readEntries(ctx context.Context) error {
	s := &t.story
	err := t.lookThrough(ctx)
	for _, id := range []string{s.Ownership.Entry, s.Ownership.Waiting} {
		if !isEntryID(id) || err != nil || slices.ContainsFunc(s.Entries, func(e StreamEntry) bool { return e.ID == id }) {
			continue
		}
		var page entryPage
		page, err = t.entryPage(ctx, id, id, 1)
		for _, row := range page.rows {
			s.Entries = append(s.Entries, row.StreamEntry)
		}
	}
	slices.SortFunc(s.Entries, func(a, b StreamEntry) int { return lease.CompareIDs(a.ID, b.ID) })
	return explained("reading "+t.keys().Input, err)
}

const (
	// namedByLease is how many announcements are read whether or not they are found otherwise.
	namedByLease = 2
	// mostDelivered leaves room for those that were not delivered.
	mostDelivered = storyItems / 2
)

func (t *telling) lookThrough(ctx context.Context) error {
	end, seen, ended, err := t.lookIn(ctx, "-", "", mostDelivered, func(row *entryRow, _ int) {
		row.Stranded = row.Consumer == ""
	})
	if err != nil {
		return err
	}
	if !ended {
		t.unread("what was delivered in partition %d and is not done, after the first %d announcements", t.partition, seen)
	}
	if end == greatestID {
		return nil
	}
	_, seen, ended, err = t.lookIn(ctx, "("+end, "+", storyItems-namedByLease-len(t.story.Entries), func(row *entryRow, before int) {
		if row.undelivered = row.Consumer == ""; row.undelivered && t.story.Ahead < 0 {
			t.story.Ahead = before
		}
	})
	if err == nil && !ended {
		t.unread("what was not delivered yet in partition %d, after the first %d announcements", t.partition, seen)
	}
	return err
}

// lookIn looks through a range for up to wide announcements of the stream, and has each judged, with the number of those before it.
func (t *telling) lookIn(ctx context.Context, from, upto string, wide int, judge func(row *entryRow, before int)) (end string, seen int, ended bool, err error) {
	for l, found := t.newLook(), 0; ; {
		most := l.next()
		if end == "" && upto == "" && most == 0 {
			most = 1 // for the end of the range
		}
		if most == 0 || found >= wide {
			return end, seen, false, nil
		}
		page, err := t.entryPage(ctx, from, upto, most)
		if err != nil {
			return end, seen, false, err
		}
		end, upto = page.end, page.end
		for n := range page.rows {
			if found == wide {
				return end, seen + page.rows[n].number - 1, false, nil
			}
			row := &page.rows[n]
			judge(row, seen+row.number-1)
			t.story.Entries = append(t.story.Entries, row.StreamEntry)
			found++
		}
		seen, l.left = seen+page.looked, l.left-page.looked
		if page.ended || page.last == greatestID {
			return end, seen, true, nil
		}
		from = "(" + page.last
	}
}

// entryPage looks at most entries of a range, and returns those that are announcements of the stream.
func (t *telling) entryPage(ctx context.Context, from, upto string, most int) (page entryPage, err error) {
	parts, err := t.call(ctx, lease.Call{
		Script: scriptEntriesOf,
		Keys:   []string{t.keys().Input},
		Args: []string{t.layout.Group(), from, upto, strconv.Itoa(most), strconv.Itoa(strandedBytes),
			needle(t.stream)},
	}, 4)
	if err != nil {
		return page, err
	}
	page.end, page.last, page.ended = textOf(parts, 0), textOf(parts, 1), textOf(parts, 3) == "1"
	page.looked, _ = strconv.Atoi(textOf(parts, 2))
	for n := range parts[4:] {
		row, mine, err := t.parseRow(&parts[4+n])
		if err != nil {
			return page, err
		}
		if mine {
			page.rows = append(page.rows, row)
		}
	}
	return page, nil
}

// parseRow parses a row; mine is false for an announcement of another stream, or one that cannot be parsed.
func (t *telling) parseRow(part *rueidis.RedisMessage) (row entryRow, mine bool, err error) {
	parts, err := part.ToArray()
	if err != nil || len(parts) < 5 {
		return row, false, orMalformed(err)
	}
	row.ID, row.Consumer = textOf(parts, 0), textOf(parts, 2)
	number, err1 := parts[1].AsInt64()
	idle, err2 := parts[3].AsInt64()
	if err := errors.Join(err1, err2); err != nil {
		return row, false, fmt.Errorf("announcement %s: %w", row.ID, err)
	}
	row.number, row.Idle, row.Announced = int(number), time.Duration(idle)*time.Millisecond, announcedAt(row.ID)
	e, err := lease.ParseBody(t.layout, t.partition, row.ID, parts[4:])
	row.Retries, row.Crashes = e.Retries, e.Crashes
	return row, err == nil && e.Stream == t.stream, nil
}
