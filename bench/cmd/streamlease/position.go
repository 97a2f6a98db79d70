package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
)

// What counting the messages that a feed is behind may cost: so many, and so many bytes of them.
const (
	mostCounted      = 1000
	mostCountedBytes = 4 << 20
	countedAtOnce    = 100
)

// behind is how far a feed has come with a stream, in JSON.
type behind struct {
	stream
	State     string   `json:"state"`
	Owner     string   `json:"owner"`
	Handled   string   `json:"handled_up_to"` // empty: unknown
	LastID    string   `json:"last_id"`       // empty: there is no such Redis stream
	Length    *int     `json:"length"`
	Behind    *int     `json:"behind"`         // messages; null: unknown
	Exact     bool     `json:"behind_exact"`   // else an estimate
	BehindFor *float64 `json:"behind_seconds"` // from the ID that was handled last to the last one; null: unknown, or they are no times
	Note      string   `json:"note,omitempty"`
}

// streamLags shows how far each stream has come that is named.
func streamLags(ctx context.Context, c *call, names []string) error {
	all, now := []behind{}, c.clock(ctx)
	l := &listing{head: []any{"stream", "state", "owner", "handled up to", "last message", ">behind", "by", "note"}}
	var errs []error
	for _, name := range names {
		b, err := c.behind(ctx, name)
		switch {
		case errors.Is(err, scan.ErrUnknownService):
			return err
		case errors.Is(err, api.ErrInvalidStream):
			return usage("%w", err)
		case err != nil:
			errs = append(errs, err)
		case b.State == string(scan.StreamUnknown) && b.LastID == "":
			errs = append(errs, nothing("there is nothing of stream %s", named(name)))
		}
		if b.State != "" {
			all = append(all, b)
			l.row(behindCells(&b, now)...)
		}
	}
	if len(all) > 0 || c.json {
		errs = append(errs, c.list(all, l))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.hint("Next: streamlease owners STREAM tells why one does not move.")
	return nil
}

func behindCells(b *behind, now time.Time) []any {
	count, by := any("?"), dash
	if b.Behind != nil {
		count = number(*b.Behind)
		if !b.Exact {
			count = "≈ " + number(*b.Behind)
		}
		if *b.Behind > 0 {
			count = toned{warn, count}
		}
	}
	if b.BehindFor != nil {
		by = span(time.Duration(*b.BehindFor * float64(time.Second)))
	}
	return []any{
		named(b.Stream), toned{toneOfStream[scan.StreamState(b.State)], b.State}, orDash(b.Owner), positionText(b.Handled, now),
		positionText(b.LastID, now), count, by, b.Note,
	}
}

// positionText is the ID of a message, with its age.
func positionText(id string, now time.Time) string {
	switch id {
	case "":
		return dash
	case "0-0":
		return "none yet"
	}
	if at, ok := timeOf(id); ok {
		return visible(id) + " (" + relative(at, now) + ")"
	}
	return visible(id)
}

// behind compares what is stored of a stream with the stream. With an error some of it is missing.
func (c *call) behind(ctx context.Context, name string) (b behind, err error) {
	s, err := c.inspector.Story(ctx, name)
	if s.State == "" {
		return b, err
	}
	b = behind{stream: streamOf(name), State: string(s.State), Owner: s.Ownership.Consumer}
	switch id, ok := handled(&s); {
	case err != nil:
	case s.Checkpoint == nil:
		b.Note = "no position is stored"
	case !ok:
		b.Note = "its checkpoint is not that of a feed"
	default:
		b.Handled = id
	}
	ctx, cancel := context.WithTimeout(ctx, c.cmd.Duration("timeout"))
	defer cancel()
	info, kind, err1 := c.dataStream(ctx, name)
	if err = errors.Join(err, err1); err1 != nil {
		return b, err
	}
	if info == nil {
		b.Note = strings.Join(append(notes(b.Note), kind), "; ")
		return b, err
	}
	b.LastID, b.Length = info.last, &info.length
	if b.Handled == "" {
		return b, err
	}
	n, exact, err1 := c.after(ctx, name, b.Handled, info)
	b.Behind, b.Exact = &n, exact
	if from, ok := timeOf(b.Handled); ok && n > 0 {
		if to, ok := timeOf(info.last); ok && !to.Before(from) {
			d := seconds(to.Sub(from))
			b.BehindFor = &d
		}
	}
	return b, errors.Join(err, err1)
}

// handled returns the position of a feed, if one is stored.
func handled(s *scan.Story) (id string, ok bool) {
	if s.Checkpoint == nil {
		return "", false
	}
	return feed.HandledUpTo(s.Checkpoint.Value)
}

func notes(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// dataInfo is what Redis says of a data stream.
type dataInfo struct {
	length      int
	first, last string // IDs; first is empty if there are no messages
}

// dataStream looks at the Redis stream with the name of a data stream. Where there is none, kind says what there is.
func (c *call) dataStream(ctx context.Context, name string) (info *dataInfo, kind string, err error) {
	kind, err = c.client.Do(ctx, c.client.B().Type().Key(name).Build()).ToString()
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("TYPE of the data stream %s: %w", named(name), err)
	case kind == "none":
		return nil, "no key of that name is in this Redis", nil
	case kind != "stream":
		return nil, "the key of that name is a " + kind, nil
	}
	answer, err := c.client.Do(ctx, c.client.B().XinfoStream().Key(name).Build()).AsMap()
	if err != nil {
		return nil, "", fmt.Errorf("XINFO of the data stream %s: %w", named(name), err)
	}
	info = &dataInfo{}
	length, last := answer["length"], answer["last-generated-id"]
	n, err1 := length.AsInt64()
	info.length = int(n)
	var err2 error
	info.last, err2 = last.ToString()
	if entry := answer["first-entry"]; entry.IsArray() {
		if parts, err := entry.ToArray(); err == nil && len(parts) > 0 {
			info.first, _ = parts[0].ToString()
		}
	}
	return info, kind, errors.Join(err1, err2)
}

// after counts the messages after an ID. Where that is too many, it estimates from their IDs, as if they had come evenly.
func (c *call) after(ctx context.Context, name, id string, info *dataInfo) (n int, exact bool, err error) {
	switch {
	case info.length == 0 || compareIDs(id, info.last) >= 0:
		return 0, true, nil
	case compareIDs(id, info.first) < 0:
		return info.length, true, nil
	}
	from, bytes := "("+id, 0
	for n < mostCounted && bytes < mostCountedBytes {
		page, err := c.client.Do(ctx, c.client.B().Xrange().Key(name).Start(from).End("+").Count(countedAtOnce).Build()).AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return n, false, fmt.Errorf("XRANGE of the data stream %s: %w", named(name), err)
		}
		if n += len(page); len(page) < countedAtOnce {
			return n, true, nil
		}
		from = "(" + page[len(page)-1].ID
		for _, m := range page {
			for k, v := range m.FieldValues {
				bytes += len(k) + len(v)
			}
		}
	}
	return max(n, share(id, info)), false, nil
}

// share is what part of all messages comes after an ID, if they come evenly.
func share(id string, info *dataInfo) int {
	at, first, last := milliseconds(id), milliseconds(info.first), milliseconds(info.last)
	whole := new(big.Float).SetInt(new(big.Int).Sub(last, first))
	if whole.Sign() <= 0 {
		return 0
	}
	rest := new(big.Float).SetInt(new(big.Int).Sub(last, at))
	part, _ := rest.Quo(rest, whole).Float64()
	return int(part * float64(info.length))
}

func milliseconds(id string) *big.Int {
	text, _, _ := strings.Cut(id, "-")
	ms, _ := strconv.ParseUint(text, 10, 64)
	return new(big.Int).SetUint64(ms)
}

// compareIDs compares IDs of messages.
func compareIDs(a, b string) int {
	ams, aseq, _ := strings.Cut(a, "-")
	bms, bseq, _ := strings.Cut(b, "-")
	return cmp.Or(compareNumbers(ams, bms), compareNumbers(aseq, bseq))
}

func compareNumbers(a, b string) int {
	x, _ := strconv.ParseUint(a, 10, 64)
	y, _ := strconv.ParseUint(b, 10, 64)
	return cmp.Compare(x, y)
}

// timeOf returns when a message was added, unless its ID is one that a producer chose.
func timeOf(id string) (time.Time, bool) {
	ms := milliseconds(id)
	if !ms.IsInt64() || ms.Int64() < 1e12 || ms.Int64() > 1e14 {
		return time.Time{}, false
	}
	return time.UnixMilli(ms.Int64()), true
}
