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

// Stranded is an announcement that is neither pending nor undelivered, so that nobody is ever given it.
type Stranded struct {
	Partition int
	ID        string          // in the input stream
	Stream    string          // empty when the announcement cannot be read
	Info      json.RawMessage // as announced; "{}" when there was none, nil when the announcement cannot be read
	Retries   int             // failures counted
	Crashes   int             // deaths of its owners counted

	key string // of the lease of its stream
}

// strandedBytes is how much of the input stream a page has at most, unless one entry alone has more: some 5 ms of the
// server's time.
const strandedBytes = 1 << 20

// Stranded yields the announcements that are stranded: somebody acknowledged them by hand, or removed a consumer with all that
// was pending for it (XACK, XGROUP DELCONSUMER), and their owners, if they had any, died before they noticed. Of the
// selection, Partitions and Stream count. Announcements whose streams are owned for them are left out: the owner brings them
// back within minutes. So are entries that a dead letter refers to, which SendBack and Drop are for, and what comes after it
// has begun with a partition.
//
// It reads the input stream up to what was delivered last, page by page, while it is ranged over. An error is yielded once,
// with a zero value, and is the last.
func (i *Inspector) Stranded(ctx context.Context, s Selection) iter.Seq2[Stranded, error] {
	return func(yield func(Stranded, error) bool) {
		err := i.strandedPages(ctx, s, func(layout *cluster.Layout, page []Stranded, _ *references) error {
			owned, err := i.ownedFor(ctx, layout, page)
			if err != nil {
				return err
			}
			for n := range page {
				if !owned[n] && !yield(page[n], nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(Stranded{}, err)
		}
	}
}

// Reannounce hands the stranded announcements of a selection out again: each is moved to the end of its input stream, in one
// step, with its counts as they are; with a time that its producer set, to later. It answers how many were moved.
//
// One that cannot be copied stays, the others are moved, and the error says which and why: more fields than can be copied
// (about 3,900), or none of a producer's; more than InspectorConfig.MaxMove. Any other error ends it. After an error of the
// connection the page on its way may have been moved; the call may be repeated, which moves nothing twice.
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

// reannounce moves as much of a page as one script does, and returns what that left. letter is the last dead letter that was
// looked at.
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
		return 0, nil, explained("announcing again what is stranded in "+k.Input, err)
	}
	for n, o := range outcomes {
		id := page[n].ID
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.Left:
			left = append(left, page[n])
		case lease.TooWide:
			stay.add(fmt.Errorf("scan: announcement %s of %s has more fields than can be copied: it stays there", id, k.Input))
		case lease.Bare:
			stay.add(fmt.Errorf("scan: entry %s of %s has no field of a producer, so that nothing can be announced with it: delete it (XDEL)", id, k.Input))
		case lease.TooHeavy:
			stay.add(fmt.Errorf("scan: announcement %s of %s weighs %s, and MaxMove is %d: it stays there", id, k.Input, o.Reason, lease.MoveLimit(i.set.MaxMove)))
		case lease.NotPending, lease.HeldByOne: // somebody else was faster, a dead letter refers to it, or its owner brings it back
		default:
			err = fmt.Errorf("scan: announcing %s of %s again: %s", id, k.Input, o.Reason)
		}
	}
	return moved, left, err
}

// strandedPages calls do with what is stranded, a page at a time, of each partition up to what was delivered last at the
// first look.
func (i *Inspector) strandedPages(ctx context.Context, s Selection, do func(layout *cluster.Layout, page []Stranded, referred *references) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		input := layout.Keys(p).Input
		from, upto := "-", ""
		referred := references{ids: make(map[string]bool), last: "0-0"}
		for {
			parts, err := i.call(ctx, lease.Call{
				Script: scriptStranded,
				Keys:   []string{input},
				Args:   []string{layout.Group(), from, upto, strconv.Itoa(i.set.Page), strconv.Itoa(strandedBytes)},
			}, 2)
			if err != nil {
				return explained("reading "+input, err)
			}
			if upto, err = parts[0].ToString(); err != nil {
				return explained("reading "+input, err)
			}
			last, err := parts[1].ToString()
			if err != nil || last == "" {
				break
			}
			from = "(" + last
			var page []Stranded
			for n := range parts[2:] {
				e, err := parts[n+2].AsXRangeSlice()
				if err != nil {
					return explained("reading "+input, err)
				}
				entry, err := lease.ParseEntry(layout, p, e.ID, e.FieldValues)
				x := Stranded{Partition: p, ID: e.ID, Stream: entry.Stream, Info: entry.Info, Retries: entry.Retries, Crashes: entry.Crashes, key: entry.Key}
				if err != nil {
					x.key = layout.Keys(p).Lease("")
				}
				if s.Stream == "" || s.Stream == x.Stream {
					page = append(page, x)
				}
			}
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

// references are the entries of a partition's input stream that dead letters refer to: those are where they belong.
type references struct {
	ids  map[string]bool
	last string // letter that was looked at
}

// unreferred leaves out of a page what dead letters refer to, those included that have come since the last look.
func (i *Inspector) unreferred(ctx context.Context, layout *cluster.Layout, page []Stranded, known *references) ([]Stranded, error) {
	for p := page[0].Partition; ; {
		letters, _, err := i.letters(ctx, layout, p, "("+known.last, "+")
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

// ownedFor reports of each whether its stream is owned for this very announcement.
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
