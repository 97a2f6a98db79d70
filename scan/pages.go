package scan

import (
	"context"
	"fmt"
	"strconv"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// LettersPage returns some of the selected dead letters from a cursor on, partition by partition, the newest first: "" for the first
// page, then what the page before returned as next, until that is "". A page has up to count letters, at most 1,000 (0: 100).
//
// A call does a bounded amount of work, so that it may return fewer letters, even none, with a next: where few of many letters are
// selected, or letters weigh much. Each letter that is there all the while comes exactly once; one that is added or deleted meanwhile
// comes or not.
//
// Errors match api.ErrInvalidConfig for a count out of range and for a cursor that is none for this selection; those of the client
// come with what was read before, and with a next that leaves the rest of the partition out: call again with the same cursor to
// try again.
func (i *Inspector) LettersPage(ctx context.Context, s Selection, cursor string, count int) (page []DeadLetter, next string, err error) {
	layout, err := i.layout(ctx)
	if err == nil {
		err = s.validate()
	}
	if err != nil {
		return nil, "", err
	}
	return pageOf(ctx, i, layout, reading[DeadLetter]{
		scope:      s.scope("letters"),
		what:       "dead letters",
		partitions: s.partitions(layout),
		valid:      isPosition,
		peek: func(k *cluster.Keys) lease.Call {
			return newestCall(k, s, "+", 1, 1, lease.MaxCallWeight)
		},
		empty: func(parts []string) bool { return len(parts) == 3 && parts[0] == "" },
		read: func(ctx context.Context, layout *cluster.Layout, at place, most int) ([]DeadLetter, string, int, error) {
			look := i.lettersAtOnce(s, most)
			some, after, _, err := i.newest(ctx, layout, s, at, look, look)
			if len(some) > most {
				some = some[:most:most]
				after = some[most-1].ID
			}
			return some, after, weightOf(some), err
		},
	}, cursor, count)
}

// lettersAtOnce is how many letters one script looks at to return so many.
func (i *Inspector) lettersAtOnce(s Selection, most int) int {
	if s.Stream != "" || s.Reason != "" {
		return maxInspectPage
	}
	return min(most, i.set.Page)
}

// newest looks at up to look letters of a partition, the newest first, and returns up to wide of them. after is where the next begins,
// "" at the end; looked is how many it has looked at.
func (i *Inspector) newest(ctx context.Context, layout *cluster.Layout, s Selection, at place, look, wide int) (some []DeadLetter, after string, looked int, err error) {
	from := "+"
	if at.after != "" {
		from = "(" + at.after
	}
	parts, err := i.call(ctx, newestCall(layout.Keys(at.partition), s, from, look, wide, lease.MaxCallWeight), 3)
	if err != nil {
		return nil, "", 0, err
	}
	after = textOf(parts, 0)
	looked, _ = strconv.Atoi(textOf(parts, 1))
	if textOf(parts, 2) == "1" || after == "0-1" { // Nothing precedes that, and the server refuses what would.
		after = ""
	}
	for n := range parts[3:] {
		e, err := parts[3+n].AsXRangeSlice()
		if err != nil {
			return nil, "", 0, err
		}
		if l := parseLetter(layout, at.partition, e.ID, e.FieldValues); s.matches(&l) {
			some = append(some, l)
		}
	}
	return some, after, looked, nil
}

// newestCall looks at up to look letters and returns up to wide of them.
func newestCall(k *cluster.Keys, s Selection, from string, look, wide, weight int) lease.Call {
	to := "-"
	if s.ID != "" {
		to = s.ID
		if from == "+" {
			from = s.ID
		}
	}
	return lease.Call{
		Script: scriptNewest,
		Keys:   []string{k.DeadLetters},
		Args:   []string{from, to, strconv.Itoa(look), strconv.Itoa(wide), strconv.Itoa(weight), needle(s.Stream), s.Reason},
	}
}

// weightOf returns what letters weigh, as weight.lua computes it.
func weightOf(letters []DeadLetter) (total int) {
	for n := range letters {
		for _, f := range letters[n].Body {
			total += len(f.Field) + len(f.Value) + lease.FieldWeight
		}
	}
	return total
}

// DelayedPage returns some of the delayed announcements of a selection, partition by partition, in the order in which they are due.
// Of the selection, Partitions, Stream and ID apply. Cursors, counts and errors are as with LettersPage. Each announcement that
// stays delayed until the same time comes exactly once.
func (i *Inspector) DelayedPage(ctx context.Context, s Selection, cursor string, count int) (page []Delayed, next string, err error) {
	layout, err := i.layout(ctx)
	if err == nil {
		err = s.validate()
	}
	if err != nil {
		return nil, "", err
	}
	return pageOf(ctx, i, layout, reading[Delayed]{
		scope:      Selection{Stream: s.Stream, ID: s.ID}.scope("delayed"),
		what:       "what is delayed",
		partitions: s.partitions(layout),
		valid:      func(after string) bool { return new(delayedCursor).setPlace(after) },
		peek: func(k *cluster.Keys) lease.Call {
			none := delayedCursor{}
			return none.call(k)
		},
		empty: func(parts []string) bool { return len(parts) >= delayedHead && parts[0] == "0" },
		read: func(ctx context.Context, layout *cluster.Layout, at place, most int) (some []Delayed, after string, weight int, err error) {
			c := i.delayedFrom(layout, at.partition, s)
			c.wide = min(most, i.set.Page)
			if s.Stream == "" && s.ID == "" {
				c.most = c.wide
			}
			c.setPlace(at.after)
			c.cut = maxPlace
			if some, err = i.delayedPage(ctx, &c); err != nil {
				return nil, "", 0, err
			}
			for n := range some {
				weight += some[n].Size
			}
			return some, c.place(), weight, nil
		},
	}, cursor, count)
}

// greatestID is that of an entry that none can follow: the server refuses what would.
const greatestID = "18446744073709551615-18446744073709551615"

// HoldingsPage returns some of what is pending for a consumer, by its full name as Consumers and Owner return it, partition by
// partition, the oldest announcement first. Cursors, counts and errors are as with LettersPage. An unknown name has nothing.
func (i *Inspector) HoldingsPage(ctx context.Context, consumer, cursor string, count int) (page []Holding, next string, err error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, "", err
	}
	return pageOf(ctx, i, layout, reading[Holding]{
		scope:      fmt.Sprintf("holdings %q", consumer),
		what:       fmt.Sprintf("what %.80q holds", consumer),
		partitions: upTo(layout.Partitions()),
		valid:      func(after string) bool { return isEntryID(after) && after != greatestID },
		peek: func(k *cluster.Keys) lease.Call {
			return holdingsCall(layout, k, consumer, "-", 1, lease.NoBody)
		},
		empty: func(parts []string) bool { return len(parts) == 0 },
		read: func(ctx context.Context, layout *cluster.Layout, at place, most int) ([]Holding, string, int, error) {
			from := "-"
			if at.after != "" {
				from = "(" + at.after
			}
			most = min(most, i.set.Page)
			some, weight, err := i.holdings(ctx, layout, at.partition, consumer, from, most)
			if err != nil || len(some) < most && weight < lease.MaxCallWeight || some[len(some)-1].Entry == greatestID {
				return some, "", weight, err
			}
			return some, some[len(some)-1].Entry, weight, nil
		},
	}, cursor, count)
}
