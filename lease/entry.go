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

// Names of the fields of an entry. FieldAnnouncement is shared with every producer; the others are ours.
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

// Entry is one announcement as it was read from an input stream.
type Entry struct {
	Partition int    // the one it was read from
	ID        string // in that partition's input stream
	Stream    string
	Key       string // of the stream's lease; Stream is the end of it
	Info      json.RawMessage
	Retries   int
	Crashes   int
	NotBefore int64 // ms since the epoch by the server's clock; 0: at once
	Home      int   // the partition that the stream belongs to
	Body      []rueidis.XRangeFieldValue
	Size      int // what it weighs on the server, all fields as they stand there; 0: not known
}

// ParseEntry reads an entry of partition p. Its error is the reason for a dead letter; ID, Partition and Body are set
// even then.
func ParseEntry(layout *cluster.Layout, p int, id string, body []rueidis.XRangeFieldValue) (Entry, error) {
	e := Entry{Partition: p, Home: p, ID: id, Body: body}
	known := knownFields(body)
	e.Retries, e.Crashes = count(known.retries), count(known.crashes)
	if known.notBefore != "" {
		ms, err := strconv.ParseInt(known.notBefore, 10, 64)
		if err != nil || ms < 0 {
			err = errNotMillis
		} else {
			err = CheckNotBefore(ms, time.Now())
		}
		if err != nil {
			e.Retries, e.Crashes = 0, 0
			return e, fmt.Errorf("%s is %.40q: %v", FieldNotBefore, known.notBefore, err)
		}
		e.NotBefore = ms
	}
	if !known.found {
		return e, fmt.Errorf("no field %s", FieldAnnouncement)
	}
	text := known.text
	if !utf8.ValidString(text) {
		return e, fmt.Errorf("%s is not UTF-8", FieldAnnouncement)
	}
	a, err := decodeAnnouncement(text)
	if err != nil {
		return e, fmt.Errorf("%s is not an announcement: %v", FieldAnnouncement, err)
	}
	if err := cluster.ValidateStream(a.DataStreamName); err != nil {
		return e, fmt.Errorf("DataStreamName: %w", err)
	}
	if layout.Owns(a.DataStreamName) {
		return e, fmt.Errorf("DataStreamName: %w: %.64q is a key of the service itself", api.ErrInvalidStream, a.DataStreamName)
	}
	e.Info = a.Info
	if len(e.Info) == 0 || string(e.Info) == "null" {
		e.Info = noInfo
	}
	e.Home = layout.Of(a.DataStreamName)
	e.Key = layout.Keys(p).Lease(a.DataStreamName)
	e.Stream = e.Key[len(e.Key)-len(a.DataStreamName):]
	return e, nil
}

var errNotMillis = errors.New("not a time in milliseconds")

var noInfo = json.RawMessage("{}")

// known is what an entry's fields say that are not the user's. Of one that comes twice the first counts, as in the scripts.
type known struct {
	found                             bool // the announcement
	text, retries, crashes, notBefore string
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
	// MaxNotBeforeYears is how far ahead an announcement may say that it is not to be handed out before then, by the clock of
	// whoever publishes or reads it: what is beyond was meant in another unit.
	MaxNotBeforeYears = 10

	// minNotBefore is a time in March of 1973, in ms; as seconds it is the year 5138. What is below, but for 0, is not in ms.
	minNotBefore = 1e11
)

// CheckNotBefore reports what is wrong with a time before which an announcement is not to be handed out, in ms since the
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

// count reads a counter of ours; what is not one counts as 0, since the entry itself is good.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// CompareIDs orders entry IDs as Redis does: negative when a comes first.
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

func splitID(id string) (ms, seq uint64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(head, 10, 64)
	seq, _ = strconv.ParseUint(tail, 10, 64)
	return ms, seq
}

// formatToken writes a token as the scripts do.
func formatToken(t api.Token) string { return strconv.FormatUint(uint64(t), 10) }

func parseToken(text string) (api.Token, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return api.Token(n), err
}
