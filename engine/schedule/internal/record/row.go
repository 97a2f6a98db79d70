package record

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Flags of a row.
const (
	flagPaused = 1
	flagDead   = 2
)

// Row is what the table has of a schedule. Its text is
//
//	<rev> <born> <since> <flags> <trigger> <times>
//	<the rest of the definition>
//	<note>
//
// with newlines between, so that scripts can replace one part of it and leave the others as they are.
type Row struct {
	Rev     int64 // rises with each change; µs by the server's clock, unless that went back
	Born    int64 // when this incarnation was made, ms
	Since   int64 // when it was made, its times were edited, or it was resumed, ms: ticks before that are not missed
	Paused  bool
	Dead    bool  // its announcement is a dead letter
	Trigger int64 // when a tick was asked for, µs; 0: never
	Definition
	Note string // of the last pause
}

// ParseRow parses a row. After an error, what could be read is in the row that it returns.
func ParseRow(text string) (r Row, err error) {
	head, after, ok := strings.Cut(text, "\n")
	if !ok {
		return r, errors.New("it has one line and not three")
	}
	others, note, ok := strings.Cut(after, "\n")
	if !ok {
		return r, errors.New("it has two lines and not three")
	}
	r.Note = note
	parts := strings.SplitN(head, " ", 6)
	if len(parts) < 6 {
		return r, fmt.Errorf("its first line %.100q has %d parts and not 11", head, len(parts))
	}
	var flags int64
	for i, to := range []*int64{&r.Rev, &r.Born, &r.Since, &flags, &r.Trigger} {
		if *to, err = parseTime(parts[i]); err != nil {
			return r, fmt.Errorf("part %d of its first line: %w", i+1, err)
		}
	}
	r.Paused, r.Dead = flags&flagPaused != 0, flags&flagDead != 0
	if r.Rev == 0 || r.Born == 0 || r.Since == 0 {
		return r, fmt.Errorf("its first line %.100q has no revision, no time of birth, or no time of a change", head)
	}
	r.Definition, err = parseDefinition(parts[5], others)
	return r, err
}

// Encode returns the text of a row, as scripts write it.
func (r *Row) Encode() string {
	var flags int64
	if r.Paused {
		flags |= flagPaused
	}
	if r.Dead {
		flags |= flagDead
	}
	b := make([]byte, 0, 128)
	for _, n := range []int64{r.Rev, r.Born, r.Since, flags, r.Trigger} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	timing, others := r.Definition.Encode()
	return string(b) + timing + "\n" + others + "\n" + r.Note
}
