package soak

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/rueidis"
)

// letter is a dead letter, as far as it says which announcement it is.
type letter struct {
	partition int
	id        string
	which     announcement // zero: of none that can be read
	reference string       // the ID of the entry in the input stream that it stands for; empty: it is all there is
	missing   bool         // there is no such entry
	text      string       // what people read
}

// letterPage is how many letters are read at a time: they may be large.
const letterPage = 10

// fieldReference is in a dead letter that stands for an entry which stays where it is.
const fieldReference = "_reference"

var entryID = regexp.MustCompile(`^\d{1,15}-\d{1,15}$`)

// letters reads all dead letters.
func (s *store) letters(ctx context.Context) (all []letter, err error) {
	for part := range s.layout.Partitions() {
		keys := s.layout.Keys(part)
		for from := "-"; ; {
			page, err := s.client.Do(ctx, s.client.B().Xrange().Key(keys.DeadLetters).Start(from).End("+").Count(letterPage).Build()).AsXRangeSlices()
			if err != nil {
				return nil, err
			}
			if len(page) == 0 {
				break
			}
			from = "(" + page[len(page)-1].ID
			for _, e := range page {
				l := s.letter(part, e)
				if l.reference != "" {
					if err := s.follow(ctx, keys.Input, &l); err != nil {
						return nil, err
					}
				}
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// shownOf is how much of each field of a letter people read.
const shownOf, shownFields = 120, 12

func (s *store) letter(part int, e rueidis.XRangeSlice) (l letter) {
	l.partition, l.id = part, e.ID
	found := false
	var text strings.Builder
	for i, f := range e.FieldValues {
		switch {
		case f.Field == "lbs-input" && !found:
			found = true
			l.which, _ = s.announcement(f.Value)
		case f.Field == fieldReference && entryID.MatchString(f.Value): // a producer may write anything there
			l.reference = f.Value
		}
		// The library's own fields come last.
		if i < shownFields/2 || i >= len(e.FieldValues)-shownFields {
			fmt.Fprintf(&text, " %.40q=%.*q", f.Field, shownOf, f.Value)
		}
	}
	l.text = fmt.Sprintf("%d %s, %d fields:%s", part, e.ID, len(e.FieldValues), text.String())
	return l
}

// follow looks at the entry that a letter stands for.
func (s *store) follow(ctx context.Context, input string, l *letter) error {
	page, err := s.client.Do(ctx, s.client.B().Xrange().Key(input).Start(l.reference).End(l.reference).Build()).AsXRangeSlices()
	if err != nil {
		return err
	}
	l.missing = len(page) == 0
	for _, e := range page {
		for _, f := range e.FieldValues {
			if f.Field == "lbs-input" {
				l.which, _ = s.announcement(f.Value)
				break
			}
		}
	}
	return nil
}

// drop deletes letters, and the entries that they stand for.
func (s *store) drop(ctx context.Context, all []letter) error {
	for _, l := range all {
		keys := s.layout.Keys(l.partition)
		if err := s.client.Do(ctx, s.client.B().Xdel().Key(keys.DeadLetters).Id(l.id).Build()).Error(); err != nil {
			return err
		}
		if l.reference != "" {
			if err := s.client.Do(ctx, s.client.B().Xdel().Key(keys.Input).Id(l.reference).Build()).Error(); err != nil {
				return err
			}
		}
	}
	return nil
}
