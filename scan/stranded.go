package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Stranded is an announcement that is neither pending nor undelivered, so that no consumer ever gets it.
type Stranded struct {
	Partition int
	ID        string          // in the input stream
	Stream    string          // empty when the announcement cannot be parsed
	Info      json.RawMessage // as announced; "{}" when there was none, nil when the announcement cannot be parsed
	Retries   int             // failures counted
	Crashes   int             // crashes of its owners counted

	key string // of the lease of its stream
}

// strandedBytes bounds how much of the input stream a page contains, unless a single entry has more: some 5 ms of the server's
// time.
const strandedBytes = 1 << 20

// Stranded yields the announcements that are stranded: somebody acknowledged them by hand, or removed a consumer with everything
// that was pending for it (XACK, XGROUP DELCONSUMER), and their owners, if they had any, died before they noticed. Of the
// selection, Partitions, Stream and ID apply. Left out are announcements whose streams are owned for them, since the owner
// restores those within minutes; entries that a dead letter refers to, which SendBack and Drop are for; and what arrives after
// Stranded has begun with a partition.
//
// It reads the input stream up to what was delivered last, page by page, during the iteration. An error is yielded once, with a
// zero value, and ends the iteration.
func (i *Inspector) Stranded(ctx context.Context, s Selection) iter.Seq2[Stranded, error] {
	return func(yield func(Stranded, error) bool) {
		err := i.strandedPages(ctx, s, func(layout *cluster.Layout, page []Stranded, _ *references) error {
			owned, err := i.ownedFor(ctx, layout, page)
			if err != nil {
				return err
			}
			for n := range page {
				if !owned[n] && !yield(page[n], nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Stranded{}, err)
		}
	}
}

// Reannounce requeues the stranded announcements of a selection: each is moved to the end of its input stream, in one step, with
// its counts unchanged; one that its producer has delayed is moved to the delayed ones. Reannounce returns how many were moved.
//
// One that cannot be copied stays, the others are moved, and the error says which and why: more fields than can be copied
// (about 3,900), or none of a producer's; heavier than InspectorConfig.MaxMove. Any other error ends the call. After a
// connection error the page in flight may have been moved; the call may be repeated, and moves nothing twice.
func (i *Inspector) Reannounce(ctx context.Context, s Selection) (moved int, err error) {
	var stay failures
	err = i.strandedPages(ctx, s, func(layout *cluster.Layout, page []Stranded, referred *references) error {
		for len(page) > 0 {
			n, left, err := i.reannounce(ctx, layout, page, referred.last, &stay)
			moved += n
			if err != nil {
				return err
			}
			if page = left; len(page) == 0 {
				break
			}
			if page, err = i.unreferred(ctx, layout, page, referred); err != nil {
				return err
			}
		}
		return nil
	})
	return moved, errors.Join(stay.err(), err)
}

// reannounce moves as much of a page as one script does, and returns what it left. letter is the last dead letter that was
// looked at for references.
func (i *Inspector) reannounce(ctx context.Context, layout *cluster.Layout, page []Stranded, letter string, stay *failures) (moved int, left []Stranded, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(page[0].Partition)
	call := lease.Call{
		Script: scriptReannounce,
		Keys:   []string{k.Input, k.Later, k.DeadLetters},
		Args:   []string{layout.Group(), strconv.Itoa(lease.MoveLimit(i.set.MaxMove)), strconv.Itoa(lease.MaxCallWeight), letter},
	}
	for n := range page {
		call.Keys = append(call.Keys, page[n].key)
		call.Args = append(call.Args, page[n].ID)
	}
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, call), len(page))
	if err != nil {
		return 0, nil, explained("reannouncing what is stranded in "+k.Input, err)
	}
	for n, o := range outcomes {
		id := page[n].ID
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.Left:
			left = append(left, page[n])
		case lease.TooWide:
			stay.add(fmt.Errorf("scan: announcement %s of %s has more fields than can be copied: not moved", id, k.Input))
		case lease.Bare:
			stay.add(fmt.Errorf("scan: entry %s of %s has no field of a producer, so there is nothing to announce: delete it (XDEL)", id, k.Input))
		case lease.TooHeavy:
			stay.add(fmt.Errorf("scan: announcement %s of %s weighs %s, and MaxMove is %d: not moved", id, k.Input, o.Reason, lease.MoveLimit(i.set.MaxMove)))
		case lease.NotPending, lease.HeldByOne: // another call was faster, a dead letter refers to it, or its owner restores it
		default:
			err = fmt.Errorf("scan: reannouncing %s of %s: %s", id, k.Input, o.Reason)
		}
	}
	return moved, left, err
}

// strandedPages calls do with what is stranded, a page at a time, up to what was delivered last in each partition when it began.
func (i *Inspector) strandedPages(ctx context.Context, s Selection, do func(layout *cluster.Layout, page []Stranded, referred *references) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		from, upto, most := "-", "", i.set.Page
		if s.ID != "" {
			from, most = s.ID, 1
		}
		referred := references{ids: make(map[string]bool), last: "0-0"}
		for more := true; more; more = s.ID == "" {
			var page []Stranded
			var last string
			if page, last, upto, err = i.strandedPage(ctx, layout, p, from, upto, most); err != nil {
				return explained("reading "+layout.Keys(p).Input, err)
			}
			if last == "" {
				break
			}
			from = "(" + last
			page = slices.DeleteFunc(page, func(x Stranded) bool { return s.Stream != "" && s.Stream != x.Stream || s.ID != "" && s.ID != x.ID })
			if len(page) == 0 {
				continue
			}
			if page, err = i.unreferred(ctx, layout, page, &referred); err != nil {
				return err
			}
			if len(page) == 0 {
				continue
			}
			if err := do(layout, page, &referred); err != nil {
				return err
			}
		}
	}
	return nil
}

// strandedPage reads one page from an ID on, up to upto, or up to what was delivered last where that is empty. last is the last
// ID that was looked at, empty at the end; end is upto for the next page.
func (i *Inspector) strandedPage(ctx context.Context, layout *cluster.Layout, p int, from, upto string, most int) (page []Stranded, last, end string, err error) {
	parts, err := i.call(ctx, lease.Call{
		Script: scriptStranded,
		Keys:   []string{layout.Keys(p).Input},
		Args:   []string{layout.Group(), from, upto, strconv.Itoa(most), strconv.Itoa(strandedBytes)},
	}, 2)
	if err != nil {
		return nil, "", "", err
	}
	if end, err = parts[0].ToString(); err != nil {
		return nil, "", "", err
	}
	if last, err = parts[1].ToString(); err != nil {
		return nil, "", end, nil
	}
	for n := range parts[2:] {
		e, err := parts[n+2].AsXRangeSlice()
		if err != nil {
			return nil, "", "", err
		}
		entry, err := lease.ParseEntry(layout, p, e.ID, e.FieldValues)
		x := Stranded{Partition: p, ID: e.ID, Stream: entry.Stream, Info: entry.Info, Retries: entry.Retries, Crashes: entry.Crashes, key: entry.Key}
		if err != nil {
			x.key = layout.Keys(p).Lease("")
		}
		page = append(page, x)
	}
	return page, last, end, nil
}

// references are the entries of a partition's input stream that dead letters refer to: those are where they belong.
type references struct {
	ids  map[string]bool
	last string // ID of the last letter that was looked at
}

// unreferred removes from a page what dead letters refer to, including letters that have arrived since it was called last.
func (i *Inspector) unreferred(ctx context.Context, layout *cluster.Layout, page []Stranded, known *references) ([]Stranded, error) {
	for p := page[0].Partition; ; {
		letters, _, err := i.letterPage(ctx, layout, p, "("+known.last, "+")
		if err != nil {
			return nil, explained("reading "+layout.Keys(p).DeadLetters, err)
		}
		if len(letters) == 0 {
			return slices.DeleteFunc(page, func(x Stranded) bool { return known.ids[x.ID] }), nil
		}
		for n := range letters {
			if l := &letters[n]; l.Reference != "" {
				known.ids[l.Reference] = true
			}
		}
		known.last = letters[len(letters)-1].ID
	}
}

// ownedFor reports for each announcement whether its stream is owned for exactly that one.
func (i *Inspector) ownedFor(ctx context.Context, layout *cluster.Layout, page []Stranded) ([]bool, error) {
	keys := make([]string, len(page))
	for n := range page {
		keys[n] = page[n].key
	}
	parts, err := i.call(ctx, lease.Call{Script: scriptLeases, Keys: keys}, 1+2*len(page))
	if err != nil {
		return nil, explained("reading leases", err)
	}
	owned := make([]bool, len(page))
	for n := range page {
		value, err := parts[1+2*n].ToString()
		if err != nil {
			continue
		}
		held, err := lease.ParseValue(value)
		owned[n] = err == nil && held.Entry == page[n].ID
	}
	return owned, nil
}
