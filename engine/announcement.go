package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// encoder makes the entries of announcements, within limits.
type encoder struct {
	layout *cluster.Layout
	limits lease.Limits
}

// encode returns the fields of an announcement's entry: names and values in turn, the announcement first.
func (e *encoder) encode(a *api.Announcement) ([]string, error) {
	if err := cluster.ValidateStream(a.Stream); err != nil {
		return nil, err
	}
	if e.layout.Owns(a.Stream) {
		return nil, fmt.Errorf("%w: it is a key of service %s itself, which whoever deletes the data stream would delete; use another name",
			api.ErrInvalidStream, e.layout.Service())
	}
	if !utf8.ValidString(a.Stream) {
		return nil, fmt.Errorf("%w: it is not UTF-8, which the JSON of an announcement has to be; use another name", api.ErrInvalidStream)
	}
	if a.OnlyIfUnowned && !a.NotBefore.IsZero() {
		return nil, invalid("OnlyIfUnowned and WithNotBefore do not go together: the announcement would wait where it is not found")
	}
	info, err := encodeInfo(a.Info)
	if err != nil {
		return nil, err
	}
	text, err := lease.EncodeAnnouncement(a.Stream, info)
	if err != nil {
		return nil, err
	}
	if err := lease.CheckFields(a.Fields); err != nil {
		return nil, err
	}
	fields := append(make([]string, 0, 4+2*len(a.Fields)), lease.FieldAnnouncement, text)
	for _, f := range a.Fields {
		fields = append(fields, f.Name, f.Value)
	}
	if err := e.checkSize(a.Stream, info, fields); err != nil {
		return nil, err
	}
	// Rounded up, so that it is never too early. A time before 1970 has passed by any clock.
	if ms := a.NotBefore.Add(time.Millisecond - 1).UnixMilli(); !a.NotBefore.IsZero() && ms > 0 {
		if err := lease.CheckNotBefore(ms, time.Now()); err != nil {
			return nil, fmt.Errorf("not before %v, which is %d ms since 1970: %w", a.NotBefore, ms, err)
		}
		fields = append(fields, lease.FieldNotBefore, strconv.FormatInt(ms, 10))
	}
	return fields, nil
}

// checkSize checks an announcement against the limits, as readers see it: Info as encoded may be shorter than info, since spaces
// are left out, or longer, since '<' is escaped.
func (e *encoder) checkSize(stream string, info json.RawMessage, fields []string) error {
	size, text := 0, fields[1]
	if info != nil {
		bare, err := lease.EncodeAnnouncement(stream, nil)
		if err != nil {
			return err
		}
		size = len(text) - len(bare) - len(`,"Info":`)
	}
	count := len(fields)/2 + 1 // as with WithNotBefore
	weight := count * lease.FieldWeight
	for i, text := range fields {
		if i != 0 {
			weight += len(text)
		}
	}
	return e.limits.CheckSizes(len(stream), size, len(text), count, weight)
}

// encodeInfo returns info as JSON, nil if there is none.
func encodeInfo(info any) (json.RawMessage, error) {
	var text json.RawMessage
	switch x := info.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		text = x
	case []byte:
		text = x
	default:
		var err error
		err = guard.Call(func() (err error) { text, err = json.Marshal(info); return err })
		var panicked *api.PanicError
		if errors.As(err, &panicked) {
			return nil, fmt.Errorf("info of type %T: encoding it panicked: %v", info, panicked.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("info of type %T has no JSON form: %w", info, err)
		}
	}
	switch {
	case text == nil:
		return nil, nil
	case !json.Valid(text):
		return nil, fmt.Errorf("info %.40q is not JSON; give a value that encoding/json can encode, or valid JSON", text)
	case !utf8.Valid(text):
		return nil, fmt.Errorf("info %.40q is not UTF-8, which JSON has to be", text)
	}
	return text, nil
}
