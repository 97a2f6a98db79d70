package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Names of the fields of an entry. FieldAnnouncement is shared with every producer; the others are this library's.
const (
	FieldAnnouncement = "lbs-input"
	FieldRetries      = "_retry_count"
	FieldCrashes      = "_crash_count"
	FieldNotBefore    = "_not_before"
	FieldReason       = "_reason"
	FieldOriginalID   = "_original_id"
	FieldLastOwner    = "_last_owner"
	FieldDeadAt       = "_dead_at"
)

// Entry is one announcement, as read from an input stream.
type Entry struct {
	Partition int    // the one it was read from
	ID        string // in that partition's input stream
	Stream    string
	Key       string // of the stream's lease; it ends in Stream
	Info      json.RawMessage
	Retries   int
	Crashes   int
	NotBefore int64        // ms since the epoch, by the server's clock; 0: at once
	Beside    *[]api.Field // what leases keep of the producer's fields beside the announcement; nil: none
	Home      int          // the partition that the stream belongs to
	Body      []rueidis.XRangeFieldValue
	Size      int // weight of all its fields on the server; 0: not known

	// OwnedElsewhere says that the owner of the stream had this very entry when it was read here. If it is later neither pending here nor
	// in the stream, its owner is done with it.
	OwnedElsewhere bool

	Fields   int // number on the server; Body may have fewer. 0: not known
	TextSize int // length in bytes of the announcement on the server, if Body has only its beginning; 0: Body has all of it
}

// Cut reports whether the server has more of the entry than Body.
func (e *Entry) Cut() bool { return e.Fields > len(e.Body) || e.TextSize > 0 }

// Held estimates the memory that the entry takes in this process, in bytes, overhead included.
func (e *Entry) Held() int {
	n := entryOverhead + len(e.Key) + len(e.Info)
	for i := range e.Body {
		n += len(e.Body[i].Field) + len(e.Body[i].Value) + fieldOverhead
	}
	if e.Beside != nil {
		for _, f := range *e.Beside {
			n += len(f.Name) + len(f.Value) + fieldOverhead
		}
	}
	return n
}

const (
	entryOverhead = 256
	fieldOverhead = 32
)

// ParseEntry parses an entry of partition p. Its error is the reason for a dead letter; ID, Partition and Body are set even
// then.
func ParseEntry(layout *cluster.Layout, p int, id string, body []rueidis.XRangeFieldValue) (Entry, error) {
	return Parse(layout, &Entry{Partition: p, ID: id, Body: body})
}

// Parse parses an entry as calls of a Store return it: with Partition, ID and Body, and Size, Fields and TextSize if it is cut.
// Its error is the reason for a dead letter; the given fields, and Size and Fields, are set even then. If the announcement is
// cut, Info is missing, and the name is known only if the beginning contains it.
func Parse(layout *cluster.Layout, raw *Entry) (Entry, error) {
	e := *raw
	e.Home = e.Partition
	if e.Size == 0 {
		e.Size, e.Fields = weight(e.Body), len(e.Body)
	}
	known := e.known()
	notBefore, err := known.time()
	if err != nil {
		return e, err
	}
	e.Retries, e.Crashes, e.NotBefore = count(known.retries), count(known.crashes), notBefore
	if !known.found {
		return e, fmt.Errorf("no field %s", FieldAnnouncement)
	}
	var a announcement
	if e.TextSize > 0 {
		a.DataStreamName, err = decodeName(known.text)
	} else if !utf8.ValidString(known.text) {
		return e, fmt.Errorf("%s is not UTF-8", FieldAnnouncement)
	} else {
		a, err = decodeAnnouncement(known.text)
	}
	if err != nil {
		return e, fmt.Errorf("%s is not an announcement: %w", FieldAnnouncement, err)
	}
	name := a.DataStreamName
	if err := cluster.ValidateStream(name); err != nil {
		return e, fmt.Errorf("%s: %w", memberName, err)
	}
	if layout.Owns(name) {
		return e, fmt.Errorf("%s: %w: %.64q is a key of the service itself", memberName, api.ErrInvalidStream, name)
	}
	e.Info = a.Info
	if len(e.Info) == 0 || string(e.Info) == "null" {
		e.Info = noInfo
	}
	e.Beside = keptFields(e.Body)
	e.Home = layout.Of(name)
	e.Key = layout.Keys(e.Partition).Lease(name)
	e.Stream = e.Key[len(e.Key)-len(name):]
	return e, nil
}

// weight returns what fields weigh, as weight.lua computes it.
func weight(body []rueidis.XRangeFieldValue) int {
	n := FieldWeight * len(body)
	for i := range body {
		n += len(body[i].Field) + len(body[i].Value)
	}
	return n
}

var errNotMillis = errors.New("not a time in milliseconds")

var noInfo = json.RawMessage("{}")

// known is the content of the fields that this library knows. Of a repeated field the first one counts, as in the scripts.
type known struct {
	found                             bool // the announcement
	text, retries, crashes, notBefore string
}

// time returns the time before which the entry must not be handed out, in ms; 0: none.
func (k *known) time() (int64, error) {
	if k.notBefore == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(k.notBefore, 10, 64)
	if err != nil || ms < 0 {
		err = errNotMillis
	} else {
		err = CheckNotBefore(ms, time.Now())
	}
	if err != nil {
		return 0, fmt.Errorf("%s is %.40q: %w", FieldNotBefore, k.notBefore, err)
	}
	return ms, nil
}

func knownFields(body []rueidis.XRangeFieldValue) (k known) {
	first := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	for _, f := range body {
		switch f.Field {
		case FieldAnnouncement:
			if !k.found {
				k.text, k.found = f.Value, true
			}
		case FieldRetries:
			first(&k.retries, f.Value)
		case FieldCrashes:
			first(&k.crashes, f.Value)
		case FieldNotBefore:
			first(&k.notBefore, f.Value)
		}
	}
	return k
}

const (
	// MaxNotBeforeYears is how far ahead an announcement may be scheduled, by the clock of whoever publishes or reads it: a
	// later time was meant in another unit.
	MaxNotBeforeYears = 10

	// minNotBefore is a time in March of 1973 in ms; read as seconds, it is in the year 5138. A smaller number, other than 0, is
	// not in ms.
	minNotBefore = 1e11
)

// CheckNotBefore returns what is wrong with the time before which an announcement must not be handed out, in ms since the
// epoch; 0 is none.
func CheckNotBefore(ms int64, now time.Time) error {
	latest := now.AddDate(MaxNotBeforeYears, 0, 0).UnixMilli()
	switch {
	case ms == 0 || ms >= minNotBefore && ms <= latest:
		return nil
	case ms < minNotBefore:
		return fmt.Errorf("that is before %d, in 1973: give milliseconds since 1970, not seconds", int64(minNotBefore))
	}
	return fmt.Errorf("that is more than %d years from now: give milliseconds since 1970, up to %d", MaxNotBeforeYears, latest)
}

// count parses one of our counters. Anything else counts as 0, since the entry itself is valid.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// CompareIDs orders entry IDs as Redis does: negative if a comes first.
func CompareIDs(a, b string) int {
	ams, aseq := splitID(a)
	bms, bseq := splitID(b)
	switch {
	case ams != bms && ams < bms, ams == bms && aseq < bseq:
		return -1
	case ams == bms && aseq == bseq:
		return 0
	}
	return 1
}

// ParseID returns the two numbers of an entry ID, the more significant one first; 0 for a number that is none.
func ParseID(id string) (ms, seq uint64) { return splitID(id) }

func splitID(id string) (ms, seq uint64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(head, 10, 64)
	seq, _ = strconv.ParseUint(tail, 10, 64)
	return ms, seq
}

// formatToken formats a token as the scripts do.

func parseToken(text string) (api.Token, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return api.Token(n), err
}

// ownPrefix begins the names of fields that are this library's.
const ownPrefix = '_'

// isProducers reports whether a field of that name is a producer's, beside the announcement.
func isProducers(name string) bool {
	return name != FieldAnnouncement && name != "" && name[0] != ownPrefix
}

// CheckFields returns what is wrong with the fields that a producer puts beside an announcement.
func CheckFields(fields []api.Field) error {
	size := 0
	for _, f := range fields {
		if !isProducers(f.Name) {
			return fmt.Errorf("%w: a field beside an announcement is called %.40q; use a name that is not empty, not %q, and does not begin with '_'",
				api.ErrInvalidConfig, f.Name, FieldAnnouncement)
		}
		size += len(f.Name) + len(f.Value)
	}
	if size > api.MaxFields {
		return fmt.Errorf("%w: the fields beside the announcement have %d bytes, the limit is %d", api.ErrTooLarge, size, api.MaxFields)
	}
	return nil
}

// keptFields returns the fields of an entry that a lease keeps: those of the producer, in order, each that still fits into
// api.MaxFields bytes. Nil if there are none. What it returns shares no memory with body.
func keptFields(body []rueidis.XRangeFieldValue) *[]api.Field {
	var kept []api.Field
	left := api.MaxFields
	for i := range body {
		name, value := body[i].Field, body[i].Value
		if !isProducers(name) || len(name)+len(value) > left {
			continue
		}
		left -= len(name) + len(value)
		both := name + value // one piece of memory
		kept = append(kept, api.Field{Name: both[:len(name)], Value: both[len(name):]})
	}
	if kept == nil {
		return nil
	}
	return &kept
}
