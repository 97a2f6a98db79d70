package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds of a definition, in milliseconds. They keep a row that somebody else wrote from keeping a process busy, and sums of times from
// overflowing.
const (
	MinEvery = 100
	MaxEvery = 10 * 365 * 24 * 3600 * 1000
	MaxTime  = 1 << 53
)

// What First and Missed may be: their greatest values.
const (
	maxFirst  = 2
	maxMissed = 1
)

// none stands for a zone or an expression that is not there.
const none = "-"

// Definition is what a user said about a schedule. Times are milliseconds since 1970, 0 means none. Either Every or Cron is set.
type Definition struct {
	Every, Phase int64
	Start, End   int64
	Zone, Cron   string

	First, Missed uint8 // as schedule.First and schedule.Missed
	Window        int64 // ms; 0: the default
	Info          json.RawMessage
}

// rest is what a definition says besides its times.
type rest struct {
	First  uint8           `json:"first,omitempty"`
	Missed uint8           `json:"missed,omitempty"`
	Window int64           `json:"window,omitempty"`
	Info   json.RawMessage `json:"info,omitempty"`
}

// Encode returns the two texts that a row has of a definition: what its times are, and the rest, "" if that is all as by default. Equal
// definitions have equal texts. Neither has a newline. Info must be valid JSON, or empty.
func (d *Definition) Encode() (timing, rest string) {
	b := make([]byte, 0, 64)
	for _, n := range []int64{d.Every, d.Phase, d.Start, d.End} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = append(b, orNone(d.Zone)...)
	b = append(b, ' ')
	return string(append(b, orNone(d.Cron)...)), d.encodeRest()
}

func (d *Definition) encodeRest() string {
	r := rest{d.First, d.Missed, d.Window, d.Info}
	if r.First == 0 && r.Missed == 0 && r.Window == 0 && len(r.Info) == 0 {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would only be longer
	if err := e.Encode(r); err != nil {
		panic(fmt.Sprintf("record: Info is no JSON: %v", err)) // a bug: whoever makes a definition checks it
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func parseDefinition(timing, others string) (d Definition, err error) {
	parts := strings.SplitN(timing, " ", 6)
	if len(parts) < 6 {
		return d, fmt.Errorf("its times %.100q have %d parts and not 6", timing, len(parts))
	}
	for i, to := range []*int64{&d.Every, &d.Phase, &d.Start, &d.End} {
		if *to, err = parseTime(parts[i]); err != nil {
			return d, fmt.Errorf("part %d of its times %.100q: %w", i+1, timing, err)
		}
	}
	if parts[4] != none {
		d.Zone = parts[4]
	}
	if parts[5] != none {
		d.Cron = parts[5]
	}
	if err := d.parseRest(others); err != nil {
		return d, err
	}
	return d, d.check()
}

func (d *Definition) parseRest(text string) error {
	if text == "" {
		return nil
	}
	var r rest
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("its second line %.100q: %w", text, err)
	}
	if string(r.Info) == "null" {
		r.Info = nil
	}
	d.First, d.Missed, d.Window, d.Info = r.First, r.Missed, r.Window, r.Info
	return nil
}

func (d *Definition) check() error {
	switch {
	case d.Every == 0 && d.Cron == "":
		return errors.New("it has neither an interval nor a cron expression")
	case d.Every != 0 && d.Cron != "":
		return errors.New("it has an interval and a cron expression")
	case d.Every != 0 && (d.Every < MinEvery || d.Every > MaxEvery):
		return fmt.Errorf("its interval of %d ms is not between %d and %d", d.Every, MinEvery, int64(MaxEvery))
	case d.Phase != 0 && d.Phase >= d.Every:
		return fmt.Errorf("its offset of %d ms is not below its interval of %d", d.Phase, d.Every)
	case d.First > maxFirst || d.Missed > maxMissed:
		return fmt.Errorf("its first tick is %d and its missed ones are %d, which this version does not know", d.First, d.Missed)
	case d.Window < 0 || d.Window > MaxEvery:
		return fmt.Errorf("its window of %d ms is not between 0 and %d", d.Window, int64(MaxEvery))
	}
	return nil
}

// parseTime parses a number of milliseconds or microseconds.
func parseTime(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is no number", text)
	}
	if n < 0 || n > MaxTime {
		return 0, fmt.Errorf("%d is not between 0 and 2^53", n)
	}
	return n, nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt32 {
		return 0, fmt.Errorf("%.40q is not between 0 and 2^31", text)
	}
	return int(n), nil
}
