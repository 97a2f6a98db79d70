package soak

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/rueidis"
)

// letter is a dead letter.
type letter struct {
	partition int
	id        string
	which     announcement // zero: it cannot be read
	reference string       // ID of the entry in the input stream that it refers to; empty: it holds the entry itself
	missing   bool         // the entry that it refers to is gone
	text      string       // for people to read
}

// letterPage is how many dead letters are read at a time: they may be large.
const letterPage = 10

// fieldReference is the field of a dead letter that refers to an entry which stays in the input stream.
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

// shownOf is how many bytes of a field are shown, shownFields about how many fields.
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
		case f.Field == fieldReference && entryID.MatchString(f.Value): // a producer may have written anything there
			l.reference = f.Value
		}
		// The library's own fields are the last ones.
		if i < shownFields/2 || i >= len(e.FieldValues)-shownFields {
			fmt.Fprintf(&text, " %.40q=%.*q", f.Field, shownOf, f.Value)
		}
	}
	l.text = fmt.Sprintf("%d %s, %d fields:%s", part, e.ID, len(e.FieldValues), text.String())
	return l
}

// follow reads the entry that a dead letter refers to.
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

// drop deletes dead letters and the entries that they refer to.
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
