package timing

import (
	"errors"
	"fmt"
	"strings"
	"time"

	robfig "github.com/robfig/cron/v3"
)

// longest bounds an expression, in bytes. One that lists all values of each field has 340.
const longest = 512

var (
	parser = robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow | robfig.Descriptor)

	// fields are those of an expression, in order, and what may be in them.
	fields = [5]struct{ name, values string }{
		{"minute", "0 to 59"},
		{"hour", "0 to 23"},
		{"day of month", "1 to 31"},
		{"month", "1 to 12, or jan to dec"},
		{"day of week", "0 to 6 (0 is Sunday), or sun to sat"},
	}
)

// parse parses a cron expression. Expressions come from outside: whatever they contain is an error and no panic.
func parse(text string) (*expression, error) {
	wrong := func(format string, args ...any) (*expression, error) {
		return nil, fmt.Errorf("cron expression %.60q "+format, append([]any{text}, args...)...)
	}
	switch {
	case len(text) > longest:
		return wrong("(its beginning) has %d bytes; write at most %d", len(text), longest)
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }):
		return wrong("contains a character that is not plain ASCII; write its fields with spaces between them")
	}
	parts := strings.Fields(text)
	if len(parts) == 0 {
		return wrong("is empty; write five fields (minute, hour, day of month, month, day of week), or use Every")
	}
	switch first := strings.ToUpper(parts[0]); {
	case strings.HasPrefix(first, "TZ="), strings.HasPrefix(first, "CRON_TZ="):
		return wrong("begins with a zone; set Zone instead")
	case first == "@EVERY":
		return wrong("is an interval; set Every instead")
	case first == "@REBOOT":
		return wrong("has no time; use an interval (Every) with First: Soon")
	case first[0] == '@':
		schedule, err := guarded(strings.Join(parts, " "))
		if err != nil {
			return wrong("is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly; write one of them, or five fields")
		}
		return fromSchedule(schedule, first == "@HOURLY"), nil
	}
	if len(parts) != len(fields) {
		hint := ""
		if len(parts) == len(fields)+1 {
			hint = "; for seconds, use Every"
		}
		return wrong("has %d fields; write five: minute, hour, day of month, month, day of week%s", len(parts), hint)
	}
	for i, part := range parts {
		if err := check(i, part); err != nil {
			return wrong(`has %q as its %s: %w; write values of %s, as in "5", "1-5", "1,5", "*" or "*/5"`,
				part, fields[i].name, err, fields[i].values)
		}
	}
	schedule, err := guarded(strings.Join(parts, " "))
	if err != nil {
		return wrong("cannot be read: %w", err)
	}
	e := fromSchedule(schedule, parts[1][0] == '*' || parts[1][0] == '?')
	if _, ok := e.next(0); !ok {
		return wrong("never fires: none of its months has such a day; change its day of month or its month")
	}
	return e, nil
}

// check checks one field.
func check(i int, part string) error {
	for item := range strings.SplitSeq(part, ",") {
		switch {
		case item == "":
			return errors.New("a value is missing beside a comma")
		case strings.Contains(item, "+"):
			return errors.New("a value has a sign")
		case (item[0] == '*' || item[0] == '?') && len(item) > 1 && item[1] != '/':
			return fmt.Errorf("nothing but a step may follow %q", item[:1])
		}
	}
	alone := [len(fields)]string{"*", "*", "*", "*", "*"}
	alone[i] = part
	_, err := guarded(strings.Join(alone[:], " "))
	return err
}

// guarded calls the parser, whose panics are errors.
func guarded(text string) (s *robfig.SpecSchedule, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("the parser panicked: %v", p)
		}
	}()
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	s, ok := parsed.(*robfig.SpecSchedule)
	if !ok {
		return nil, errors.New("it is an interval")
	}
	return s, nil
}

// star is the bit of a field that is unrestricted.
const star = 1 << 63

func fromSchedule(s *robfig.SpecSchedule, anyHour bool) *expression {
	hours := s.Hour &^ star
	return &expression{
		minutes:  s.Minute &^ star,
		hours:    hours,
		days:     s.Dom &^ star,
		months:   s.Month &^ star,
		weekdays: s.Dow &^ star,
		either:   s.Dom&star == 0 && s.Dow&star == 0,
		anyHour:  anyHour || hours == everyHour,
	}
}

// load returns a zone by its IANA name.
func load(name string) (*time.Location, error) {
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "Local":
		return nil, errors.New(`zone "Local" differs between processes; write an IANA name such as "Europe/Berlin", or "" for UTC`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`zone %q is not in the zone database of this process (%w); write an IANA name such as "Europe/Berlin", or "" for UTC; `+
			`if the name is right, import time/tzdata`, name, err)
	}
	return zone, nil
}
