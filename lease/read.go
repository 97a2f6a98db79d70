package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Read waits up to block for new entries of a partition and reads at most count of them. They are pending for consumer from
// then on, even if the answer is lost. XREADGROUP has no bound in bytes: a caller that does not know what is coming waits for
// one entry and gets the rest with ReadOn.
func (s *Store) Read(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, block+s.timeout())
	defer cancel()
	k := s.layout.Keys(p)
	// UnblockOnCancel lets a cancelled read end with an answer, so that the entries it was given are known.
	read := s.client.B().Xreadgroup().Group(s.layout.Group(), consumer).Count(int64(count)).
		Block(block.Milliseconds()).Streams().Key(k.Input).Id(">").Build().UnblockOnCancel()
	answer, err := s.client.Do(ctx, read).AsXReadSlices()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, e := range answer[k.Input] {
		entry := Entry{Partition: p, ID: e.ID, Body: e.FieldValues}
		entry.cut(s.set.Limits.MaxAnnouncement())
		entries = append(entries, entry)
	}
	return entries, nil
}

// cut drops what scripts would not have returned.
func (e *Entry) cut(longest int) {
	size := weight(e.Body)
	if size <= WholeWeight {
		return
	}
	var short []rueidis.XRangeFieldValue
	seen := make(map[string]bool)
	length, left := 0, api.MaxFields
	for _, f := range e.Body {
		switch f.Field {
		case FieldAnnouncement, FieldRetries, FieldCrashes, FieldNotBefore:
		default:
			if n := len(f.Field) + len(f.Value); isProducers(f.Field) && n <= left {
				short, left = append(short, f), left-n
			}
			continue
		}
		if seen[f.Field] {
			continue
		}
		seen[f.Field] = true
		most := longestCount
		if f.Field == FieldAnnouncement {
			most, length = longest, len(f.Value)
		}
		if len(f.Value) > most {
			f.Value = strings.Clone(f.Value[:most]) // so that the rest does not stay in memory
		}
		short = append(short, f)
	}
	e.Size, e.Fields, e.Body = size, len(e.Body), short
	if length > longest {
		e.TextSize = length
	}
}

// longestCount is how much of a count or a time scripts return, in bytes.
const longestCount = 64

// ReadOn reads new entries of a partition while there are some, without waiting: at most count of them, and no more once they
// weigh bytes together. Of a heavy entry it returns what is needed, see [Entry]. more reports that it stopped before the end.
// The entries are pending for consumer from then on, even if the answer is lost: so a busy server gets patience more time than
// for other calls.
func (s *Store) ReadOn(ctx context.Context, p int, consumer string, count, bytes int, patience time.Duration) (entries []Entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience+s.timeout())
	defer cancel()
	parts, err := s.rest.Do(ctx, Call{
		Script: scriptRead,
		Keys:   []string{s.layout.Keys(p).Input},
		Args: []string{s.layout.Group(), consumer, strconv.Itoa(count), strconv.Itoa(bytes),
			strconv.Itoa(s.set.Limits.MaxAnnouncement())},
	}).ToArray()
	if err != nil {
		return nil, false, err
	}
	if len(parts) == 0 {
		return nil, false, fmt.Errorf("read: empty answer")
	}
	flag, err := parts[0].AsInt64()
	if err != nil {
		return nil, false, fmt.Errorf("read: %w", err)
	}
	entries = make([]Entry, len(parts)-1)
	for i := range entries {
		row, err := parts[i+1].ToArray()
		if err != nil || len(row) < 2 {
			return nil, false, fmt.Errorf("read: answer of %d parts: %w", len(row), err)
		}
		e := &entries[i]
		e.Partition = p
		if e.ID, err = row[0].ToString(); err != nil {
			return nil, false, fmt.Errorf("read: %w", err)
		}
		if _, err := e.setBody(row[1:]); err != nil {
			return nil, false, fmt.Errorf("read: %s: %w", e.ID, err)
		}
	}
	return entries, flag == 1, nil
}

// setBody takes what body.lua returns: fields, or false; and for an entry that it cut, the weight, the number of fields and the
// length of the announcement.
func (e *Entry) setBody(parts []rueidis.RedisMessage) (there bool, err error) {
	fields, err := parts[0].AsStrSlice()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e.Body = pairs(fields)
	if len(parts) < 4 {
		return true, nil
	}
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], err = parts[i+1].AsInt64(); err != nil {
			return true, err
		}
	}
	e.Size, e.Fields = int(numbers[0]), int(numbers[1])
	if length := int(numbers[2]); length > len(knownFields(e.Body).text) {
		e.TextSize = length
	}
	return true, nil
}

// pairs converts a flat list of fields and values.
func pairs(flat []string) []rueidis.XRangeFieldValue {
	body := make([]rueidis.XRangeFieldValue, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		body = append(body, rueidis.XRangeFieldValue{Field: flat[i], Value: flat[i+1]})
	}
	return body
}

// PendingEntry is one entry that is pending for a consumer.
type PendingEntry struct {
	Entry
	Idle       time.Duration
	Deliveries int  // HeldDeliveries or more: the entry was owned
	Gone       bool // its body was deleted
	Unread     bool // its body was not read
}

// HeldDeliveries is the delivery count that acquire gives an entry; one that was only read has 1.
const HeldDeliveries = 2

// Pending reads one page of the entries that are pending for consumer and have been idle for at least idle, after the given ID
// ("": from the first). A page ends once its entries weigh MaxCallWeight together, so a short page need not be the last one; an
// empty page is.
func (s *Store) Pending(ctx context.Context, p int, consumer, after string, count int, idle time.Duration) ([]PendingEntry, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	from := "-"
	if after != "" {
		from = "(" + after
	}
	items, err := s.rest.Do(ctx, Call{
		Script: scriptPending,
		Keys:   []string{s.layout.Keys(p).Input},
		Args: append([]string{s.layout.Group(), consumer, from, strconv.Itoa(count), ms(idle)},
			BodyArgs(s.set.Limits.MaxAnnouncement())...),
	}).ToArray()
	if err != nil {
		return nil, err
	}
	page := make([]PendingEntry, 0, len(items))
	for _, item := range items {
		entry, err := ParsePending(p, item)
		if err != nil {
			return nil, fmt.Errorf("pending: %w", err)
		}
		page = append(page, entry)
	}
	return page, nil
}

// Values of longest for BodyArgs with a special meaning.
const (
	NameOnly = 0  // enough for the name, no Info
	NoBody   = -1 // nothing: for an entry that cannot be read in time
)

// BodyArgs returns the last arguments of scripts that return a page of entries: the weight after which it ends, and the longest
// announcement to return.
func BodyArgs(longest int) []string {
	return []string{strconv.Itoa(MaxCallWeight), strconv.Itoa(longest)}
}

// ParsePending parses { id, idle ms, deliveries, fields or false … }, as scripts return it with body.lua, for partition p.
func ParsePending(p int, item rueidis.RedisMessage) (e PendingEntry, err error) {
	parts, err := item.ToArray()
	if err != nil {
		return e, err
	}
	if len(parts) < 4 {
		return e, fmt.Errorf("answer of %d parts", len(parts))
	}
	e.Partition = p
	if e.ID, err = parts[0].ToString(); err != nil {
		return e, err
	}
	idle, err1 := parts[1].AsInt64()
	deliveries, err2 := parts[2].AsInt64()
	if err1 != nil || err2 != nil {
		return e, fmt.Errorf("idle time and deliveries of %s: %w", e.ID, err1)
	}
	e.Idle, e.Deliveries = time.Duration(idle)*time.Millisecond, int(deliveries)
	if parts[3].IsString() {
		e.Unread = true
		return e, nil
	}
	there, err := e.setBody(parts[3:])
	e.Gone = !there
	return e, err
}

// ParseBody parses an entry of partition p whose body a script returned with body.lua: fields or false, and the sizes that follow
// if it was cut.
func ParseBody(layout *cluster.Layout, p int, id string, body []rueidis.RedisMessage) (Entry, error) {
	raw := Entry{Partition: p, ID: id}
	if _, err := raw.setBody(body); err != nil {
		return raw, err
	}
	return Parse(layout, &raw)
}
