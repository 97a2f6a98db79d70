package scan

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Delayed is an announcement that is not to be handed out before a time: its producer set one (engine.WithNotBefore), its handler
// snoozed it (api.Snooze) or failed, its owners died, or too many announcements of streams that are owned were waiting.
type Delayed struct {
	Partition int
	ID        string          // that it had in the input stream; it gets another when it is handed out
	Stream    string          // empty when the announcement cannot be parsed
	Info      json.RawMessage // as announced; "{}" when there was none, nil when the announcement cannot be parsed
	Due       time.Time       // by the server's clock; zero, or in the year 9999, where something else wrote no such time
	Retries   int             // failures counted
	Crashes   int             // crashes of its owners counted
	Size      int             // bytes in Redis

	member string
}

// delayedBytes bounds how much of later a page contains, unless a single announcement has more: some 5 ms of the server's time.
const delayedBytes = 1 << 20

// delayedScan is how many members of later one script looks at for a single stream.
const delayedScan = 1000

// Delayed yields the delayed announcements, partition by partition, in the order in which they are due. Of the selection,
// Partitions, Stream and ID apply. It reads page by page during the iteration; what is delayed, handed out or cancelled meanwhile may
// be among them or not. An error is yielded once, with a zero value, and ends the iteration.
func (i *Inspector) Delayed(ctx context.Context, s Selection) iter.Seq2[Delayed, error] {
	return func(yield func(Delayed, error) bool) {
		err := i.delayedPages(ctx, s, func(_ *cluster.Layout, page []Delayed) error {
			for _, d := range page {
				d.member = ""
				if !yield(d, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Delayed{}, err)
		}
	}
}

// BringForward hands the delayed announcements of a selection out now, whatever they were delayed for: each is moved to the end
// of its input stream, in one step, with its counts unchanged. Of the selection, Partitions, Stream and ID apply.
//
// moved is how many it moved. gone is how many were no longer delayed when it came to them: they had just been handed out because
// they were due, or another call had moved or cancelled them. If both are 0, nothing that was selected was delayed; Owner
// tells whether somebody owns the stream.
//
// What cannot be read, since something else wrote it, stays, and the error says so; engines make dead letters of it when it is due.
// Any other error ends the call. After a connection error the page in flight may have been moved; the call may be repeated.
func (i *Inspector) BringForward(ctx context.Context, s Selection) (moved, gone int, err error) {
	var stay failures
	err = i.delayedPages(ctx, s, func(layout *cluster.Layout, page []Delayed) error {
		for len(page) > 0 {
			n, missing, left, err := i.hasten(ctx, layout, page, &stay)
			moved, gone = moved+n, gone+missing
			if err != nil {
				return err
			}
			page = left
		}
		return nil
	})
	return moved, gone, errors.Join(stay.err(), err)
}

// hasten moves as much of a page as one script does, and returns what it left.
func (i *Inspector) hasten(ctx context.Context, layout *cluster.Layout, page []Delayed, stay *failures) (moved, gone int, left []Delayed, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(page[0].Partition)
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, lease.Call{
		Script: scriptHasten, Keys: []string{k.Input, k.Later}, Args: append([]string{strconv.Itoa(lease.MaxCallWeight)}, members(page)...),
	}), len(page))
	if err != nil {
		return 0, 0, nil, explained("bringing forward what is delayed in "+k.Later, err)
	}
	for n, o := range outcomes {
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.NotPending:
			gone++
		case lease.Left:
			left = append(left, page[n])
		case lease.Bare:
			stay.add(fmt.Errorf("scan: a member of %s that is due at %v is no announcement: not moved", k.Later, page[n].Due.UTC()))
		default:
			err = fmt.Errorf("scan: bringing forward %s of %s: %w", page[n].ID, k.Later, lease.Explain(o.Err()))
		}
	}
	return moved, gone, left, err
}

// CancelDelayed deletes the delayed announcements of a selection for good: they are never handed out. Of the selection,
// Partitions, Stream and ID apply; the zero value selects everything that is delayed. Announcements that are not delayed are not
// touched, so one that is owned, or waits in the input stream, stays.
//
// cancelled is how many it deleted. gone is how many were no longer delayed when it came to them: they had just been handed out
// because they were due, and go on like any announcement, or another call had moved or cancelled them. Each is either deleted
// or handed out, never both. After a connection error the page in flight may have been deleted.
func (i *Inspector) CancelDelayed(ctx context.Context, s Selection) (cancelled, gone int, err error) {
	err = i.delayedPages(ctx, s, func(layout *cluster.Layout, page []Delayed) error {
		ctx, cancel := i.bounded(ctx)
		defer cancel()
		k := layout.Keys(page[0].Partition)
		n, err := i.run.Do(ctx, lease.Call{Script: scriptCancel, Keys: []string{k.Later}, Args: members(page)}).AsInt64()
		if err != nil {
			return explained("cancelling what is delayed in "+k.Later, err)
		}
		cancelled, gone = cancelled+int(n), gone+len(page)-int(n)
		return nil
	})
	return cancelled, gone, err
}

func members(page []Delayed) []string {
	all := make([]string, len(page))
	for n := range page {
		all[n] = page[n].member
	}
	return all
}

// delayedPages calls do with what is delayed, a page at a time, up to as many as there were in each partition when it began.
func (i *Inspector) delayedPages(ctx context.Context, s Selection, do func(layout *cluster.Layout, page []Delayed) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		at := i.delayedFrom(layout, p, s)
		at.members = true
		for !at.ended {
			page, err := i.delayedPage(ctx, &at)
			if err != nil {
				return explained("reading "+layout.Keys(p).Later, err)
			}
			if len(page) == 0 {
				continue
			}
			if err := do(layout, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// delayedFrom returns a cursor at the beginning of what is delayed in a partition.
func (i *Inspector) delayedFrom(layout *cluster.Layout, p int, s Selection) delayedCursor {
	at := delayedCursor{run: i.run, layout: layout, partition: p, stream: s.Stream, id: s.ID, most: i.set.Page}
	if s.Stream != "" || s.ID != "" {
		at.most = delayedScan
	}
	return at
}

func (i *Inspector) delayedPage(ctx context.Context, at *delayedCursor) ([]Delayed, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	return at.page(ctx)
}

// delayedCursor reads what is delayed in a partition.
type delayedCursor struct {
	run       *lease.Runner
	layout    *cluster.Layout
	partition int
	stream    string // only of this stream; empty: of all
	id        string // only the one that had this ID; empty: all
	most      int    // members a call
	wide      int    // of which so many are returned; 0: all
	members   bool   // read what is needed to move them
	cut       int    // bytes of last to keep; 0: all

	score, last string // of the last member that was read
	skip        int    // if last is cut: how many members that follow it in order were read, too
	read, total int    // members read, and how many there were at first
	ended       bool   // as many were read as there were at first
	atEnd       bool   // there are no more
}

// delayedHead is how many parts of an answer precede its rows.
const delayedHead = 6

// page reads the next page, which may be empty.
func (c *delayedCursor) page(ctx context.Context) ([]Delayed, error) {
	parts, err := c.run.Do(ctx, c.call(c.layout.Keys(c.partition))).ToArray()
	if err != nil || len(parts) < delayedHead {
		return nil, orMalformed(err)
	}
	total, err1 := parts[0].AsInt64()
	rank, err2 := parts[1].AsInt64()
	n, err3 := parts[2].AsInt64()
	score, err4 := parts[3].ToString()
	last, err5 := parts[4].ToString()
	skip, err6 := parts[5].AsInt64()
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, err
	}
	if c.score == "" {
		c.total = int(total)
	}
	c.score, c.last, c.skip, c.read = score, last, int(skip), c.read+int(n)
	c.ended, c.atEnd = n == 0 || c.read >= c.total, n == 0 || rank >= total
	var page []Delayed
	for n := range parts[delayedHead:] {
		d, err := c.parse(&parts[delayedHead+n])
		if err != nil {
			return nil, err
		}
		if (c.stream == "" || d.Stream == c.stream) && (c.id == "" || d.ID == c.id) {
			page = append(page, d)
		}
	}
	return page, nil
}

func (c *delayedCursor) call(k *cluster.Keys) lease.Call {
	return lease.Call{
		Script: scriptDelayed,
		Keys:   []string{k.Later},
		Args: []string{c.score, c.last, strconv.Itoa(c.most), strconv.Itoa(delayedBytes), cmp.Or(c.id, needle(c.stream)),
			flag(c.members), strconv.Itoa(cmp.Or(c.wide, c.most)), strconv.Itoa(c.cut), strconv.Itoa(c.skip)},
	}
}

func (c *delayedCursor) parse(row *rueidis.RedisMessage) (d Delayed, err error) {
	parts, err := row.ToArray()
	if err != nil || len(parts) != 7 {
		return d, orMalformed(err)
	}
	d.Partition = c.partition
	due, err := strconv.ParseFloat(textOf(parts, 0), 64)
	if err != nil {
		return d, err
	}
	d.Due = dueAt(due)
	d.ID = textOf(parts, 1)
	d.Retries, _ = strconv.Atoi(textOf(parts, 3))
	d.Crashes, _ = strconv.Atoi(textOf(parts, 4))
	d.Size, _ = strconv.Atoi(textOf(parts, 5))
	if d.member, err = parts[6].ToString(); err != nil {
		return d, err
	}
	text, err := parts[2].ToString()
	if err != nil {
		return d, nil // it cannot be read
	}
	e, err := lease.ParseEntry(c.layout, c.partition, d.ID, []rueidis.XRangeFieldValue{{Field: lease.FieldAnnouncement, Value: text}})
	if err == nil {
		d.Stream, d.Info = e.Stream, e.Info
	}
	return d, nil
}

// needle returns a text that every announcement of a stream contains, unless it writes letters in JSON's other form: the longest run
// of letters and digits in the name. Empty where there is none.
func needle(stream string) (longest string) {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	for _, run := range strings.FieldsFunc(stream, func(r rune) bool { return !plain(r) }) {
		if len(run) > len(longest) {
			longest = run
		}
	}
	return longest
}

// place returns how far the cursor is, as text: "<score>:<skip>:<member>"; "" at the end.
func (c *delayedCursor) place() string {
	if c.atEnd {
		return ""
	}
	return c.score + ":" + strconv.Itoa(c.skip) + ":" + base64.RawURLEncoding.EncodeToString([]byte(c.last))
}

// maxPlace is how much of a member a cursor contains, in bytes. The ID of the announcement is among the first of them.
const maxPlace = 120

// setPlace moves the cursor to where place was called, and reports whether it was.
func (c *delayedCursor) setPlace(text string) bool {
	words := strings.Split(text, ":")
	if len(words) != 3 || len(words[0]) > 40 {
		return false
	}
	score, err1 := strconv.ParseFloat(words[0], 64)
	skip, err2 := strconv.ParseUint(words[1], 10, 31)
	last, err3 := base64.RawURLEncoding.Strict().DecodeString(words[2])
	// The server takes no number with a separator, or in other than these forms.
	if err1 != nil || err2 != nil || err3 != nil || math.IsNaN(score) || strings.Trim(words[0], "0123456789.+-einf") != "" || len(last) > maxPlace {
		return false
	}
	c.score, c.skip, c.last = words[0], int(skip), string(last)
	return true
}
