package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/engine/schedule/internal/timing"
)

// minWindow is the least Spec.Window.
const minWindow = time.Second

// badSpec is an error about a field of a spec.
func badSpec(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...)
}

// definition checks a spec, except for its name, and returns what a row has of it. Specs that mean the same have the same definition. Errors
// match ErrSpec.
func (s *Spec) definition() (d record.Definition, err error) {
	for _, set := range []func(*record.Definition) error{s.setTimes, s.setBounds, s.setMissed, s.setInfo} {
		if err := set(&d); err != nil {
			return record.Definition{}, err
		}
	}
	if _, err := timingOf(&d); err != nil {
		return record.Definition{}, err
	}
	times, rest := d.Encode()
	if n := len(times) + len(rest); n > MaxSpec {
		return record.Definition{}, badSpec("it takes %d bytes, the limit is %d; keep what is long elsewhere, and where it is in Info", n, MaxSpec)
	}
	return d, nil
}

func (s *Spec) setTimes(d *record.Definition) error {
	switch {
	case s.Every == 0 && s.Cron == "":
		return badSpec("it has neither Every nor Cron; set one of them")
	case s.Every != 0 && s.Cron != "":
		return badSpec("it has Every %v and Cron %.60q; set one of them", s.Every, s.Cron)
	case s.Cron != "" && s.Offset != 0:
		return badSpec("Offset %v goes with Every only; say the minute in Cron, or use Every", s.Offset)
	case s.Cron != "":
		d.Cron, d.Zone = strings.Join(strings.Fields(s.Cron), " "), s.Zone
		if d.Cron == "" {
			return badSpec("Cron %.60q is empty", s.Cron)
		}
		if s.Zone == "Local" {
			return badSpec(`Zone "Local" is another one on each machine; give its name, such as "Europe/Berlin"`)
		}
		return nil
	case s.Zone != "":
		return badSpec("Zone %.60q goes with Cron only: the times of Every are the same everywhere", s.Zone)
	case s.Every < MinEvery || s.Every > MaxEvery:
		return badSpec("Every is %v; it can be from %v to %v", s.Every, MinEvery, MaxEvery)
	case s.Every%time.Millisecond != 0:
		return badSpec("Every is %v; whole milliseconds only", s.Every)
	}
	d.Every = s.Every.Milliseconds()
	switch {
	case s.Offset == Aligned:
	case s.Offset <= 0:
		d.Phase = timing.Phase(s.Name, d.Every)
	case s.Offset >= s.Every:
		return badSpec("Offset is %v; it has to be below Every, which is %v", s.Offset, s.Every)
	case s.Offset%time.Millisecond != 0:
		return badSpec("Offset is %v; whole milliseconds only", s.Offset)
	default:
		d.Phase = s.Offset.Milliseconds()
	}
	return nil
}

func (s *Spec) setBounds(d *record.Definition) error {
	if !s.Start.IsZero() {
		d.Start = max(ceilMilli(s.Start), 0) // there are no ticks before 1970
	}
	if !s.End.IsZero() {
		if d.End = ceilMilli(s.End); d.End <= 0 {
			return badSpec("End is %v; there are no ticks before 1970", s.End)
		}
	}
	if d.Start > record.MaxTime || d.End > record.MaxTime {
		return badSpec("Start is %v and End is %v, which is too far away", s.Start, s.End)
	}
	if d.End != 0 && d.End <= d.Start {
		return badSpec("End, %v, is not after Start, %v", s.End, s.Start)
	}
	return nil
}

// ceilMilli returns the first millisecond that is not before t: what is at t or after it is not before that, and what is before t is
// before that.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func (s *Spec) setMissed(d *record.Definition) error {
	switch {
	case s.First > OnGrid:
		return badSpec("First is %d; it can be FirstDefault, Soon or OnGrid", s.First)
	case s.Missed > Skip:
		return badSpec("Missed is %d; it can be Latest or Skip", s.Missed)
	case s.Window != 0 && (s.Window < minWindow || s.Window > MaxEvery):
		return badSpec("Window is %v; it can be from %v to %v, or 0 for the default", s.Window, minWindow, MaxEvery)
	case s.Window%time.Millisecond != 0:
		return badSpec("Window is %v; whole milliseconds only", s.Window)
	}
	if byDefault := firstByDefault(d); s.First != byDefault {
		d.First = uint8(s.First)
	}
	d.Missed, d.Window = uint8(s.Missed), s.Window.Milliseconds()
	return nil
}

// firstByDefault is what FirstDefault stands for.
func firstByDefault(d *record.Definition) First {
	if d.Every > 0 {
		return Soon
	}
	return OnGrid
}

// firstOf returns what the first tick of a schedule is: Soon or OnGrid.
func firstOf(d *record.Definition) First {
	if d.First == 0 {
		return firstByDefault(d)
	}
	return First(d.First)
}

func (s *Spec) setInfo(d *record.Definition) (err error) {
	switch x := s.Info.(type) {
	case nil:
		return nil
	case json.RawMessage:
		d.Info = x
	case []byte:
		d.Info = x
	default:
		err = guard.Call(func() (err error) { d.Info, err = json.Marshal(s.Info); return err })
		var panicked *api.PanicError
		if errors.As(err, &panicked) {
			return badSpec("Info of type %T: encoding it panicked: %v", s.Info, panicked.Value)
		}
		if err != nil {
			return badSpec("Info of type %T has no JSON form: %w", s.Info, err)
		}
	}
	switch {
	case len(d.Info) == 0 || string(d.Info) == "null":
		d.Info = nil
	case !json.Valid(d.Info):
		return badSpec("Info %.40q is not JSON; give a value that encoding/json can encode, or valid JSON", d.Info)
	case !utf8.Valid(d.Info):
		return badSpec("Info %.40q is not UTF-8, which JSON has to be", d.Info)
	}
	return nil
}

// specOf returns the spec that a row has. What it has is put again without a change.
func specOf(name string, r *record.Row) *Spec {
	d := &r.Definition
	s := &Spec{Name: name, Every: millis(d.Every), Cron: d.Cron, Zone: d.Zone, Start: timeOf(d.Start), End: timeOf(d.End),
		First: First(d.First), Missed: Missed(d.Missed), Window: millis(d.Window)}
	if d.Every > 0 && d.Phase != timing.Phase(name, d.Every) {
		s.Offset = Aligned
		if d.Phase != 0 {
			s.Offset = millis(d.Phase)
		}
	}
	if d.Info != nil {
		s.Info = d.Info
	}
	return s
}

func millis(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// timeOf returns the time of milliseconds since 1970; the zero time for 0.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// timingOf returns when a schedule has ticks. Errors match ErrSpec.
func timingOf(d *record.Definition) (timing.Timing, error) {
	if d.Every > 0 {
		return timing.NewEvery(d.Every, d.Phase, d.Start, d.End), nil
	}
	t, err := timing.NewCron(d.Cron, d.Zone, d.Start, d.End)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return t, nil
}

// DecodeInfo decodes the Info of a spec that was read back into a T, by encoding/json. Without Info it returns the zero T. It also takes the
// Info of a spec that was not read back.
func DecodeInfo[T any](s *Spec) (T, error) {
	var d record.Definition
	if err := s.setInfo(&d); err != nil || d.Info == nil {
		return *new(T), err
	}
	var info T
	if err := json.Unmarshal(d.Info, &info); err != nil {
		return *new(T), fmt.Errorf("schedule: the info of %.64q is no %T: %w", s.Name, info, err)
	}
	return info, nil
}
