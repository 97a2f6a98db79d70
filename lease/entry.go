package lease

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
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

// announcement is the JSON of an entry's field as existing producers write it.
type announcement struct {
	DataStreamName string          `json:"DataStreamName"`
	Info           json.RawMessage `json:"Info,omitempty"`
}

// EncodeAnnouncement is the text of an entry's announcement field. info nil leaves Info out.
func EncodeAnnouncement(stream string, info json.RawMessage) (string, error) {
	text, err := json.Marshal(announcement{DataStreamName: stream, Info: info})
	return string(text), err
}

// ParseEntry reads an entry of partition p. Its error is the reason for a dead letter; ID, Partition and Body are set
// even then.
func ParseEntry(layout *cluster.Layout, p int, id string, body []rueidis.XRangeFieldValue) (Entry, error) {
	e := Entry{Partition: p, Home: p, ID: id, Body: body}
	text, found := "", false
	for _, f := range body {
		switch f.Field {
		case FieldAnnouncement:
			if !found {
				text, found = f.Value, true
			}
		case FieldRetries:
			e.Retries = count(f.Value)
		case FieldCrashes:
			e.Crashes = count(f.Value)
		case FieldNotBefore:
			ms, err := strconv.ParseInt(f.Value, 10, 64)
			if err != nil || ms < 0 || ms > maxNotBefore {
				return e, fmt.Errorf("%s is %.40q, not a time in milliseconds", FieldNotBefore, f.Value)
			}
			e.NotBefore = ms
		}
	}
	if !found {
		return e, fmt.Errorf("no field %s", FieldAnnouncement)
	}
	if !utf8.ValidString(text) {
		return e, fmt.Errorf("%s is not UTF-8", FieldAnnouncement)
	}
	var a announcement
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return e, fmt.Errorf("%s is not an announcement: %v", FieldAnnouncement, err)
	}
	if err := cluster.ValidateStream(a.DataStreamName); err != nil {
		return e, fmt.Errorf("DataStreamName: %w", err)
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

var noInfo = json.RawMessage("{}")

// maxNotBefore is 2^53: what Lua and JSON can tell apart.
const maxNotBefore = 1 << 53

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
