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

// strandedBytes is how much of the input stream a page reads at most, unless one entry alone has more: some 5 ms of the
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
		err := i.strandedPages(ctx, s, func(layout *cluster.Layout, _ int, page []Stranded) error {
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
// One with more fields than can be copied (about 3,900), or with none of a producer's, stays, the others are moved, and the error says which. Any other error
// ends it. After an error of the connection the page on its way may have been moved; the call may be repeated, which moves
// nothing twice.
func (i *Inspector) Reannounce(ctx context.Context, s Selection) (moved int, err error) {
	var wide failures
	err = i.strandedPages(ctx, s, func(layout *cluster.Layout, p int, page []Stranded) error {
		n, err := i.reannounce(ctx, layout, p, page, &wide)
		moved += n
		return err
	})
	return moved, errors.Join(wide.err(), err)
}

func (i *Inspector) reannounce(ctx context.Context, layout *cluster.Layout, p int, page []Stranded, wide *failures) (moved int, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(p)
	call := lease.Call{Script: scriptReannounce, Keys: []string{k.Input, k.Later}, Args: []string{layout.Group()}}
	for n := range page {
		call.Keys = append(call.Keys, page[n].key)
		call.Args = append(call.Args, page[n].ID)
	}
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, call), len(page))
	if err != nil {
		return 0, explained("announcing again what is stranded in "+k.Input, err)
	}
	for n, o := range outcomes {
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.TooWide:
			wide.add(fmt.Errorf("scan: announcement %s of %s has more fields than can be copied: it stays there", page[n].ID, k.Input))
		case lease.Bare:
			wide.add(fmt.Errorf("scan: entry %s of %s has no field of a producer, so that nothing can be announced with it: delete it (XDEL)", page[n].ID, k.Input))
		case lease.NotPending, lease.HeldByOne: // somebody else was faster, or its owner brings it back
		default:
			err = fmt.Errorf("scan: announcing %s of %s again: %s", page[n].ID, k.Input, o.Reason)
		}
	}
	return moved, err
}

// strandedPages calls do with what is stranded, a page at a time, of each partition up to what was delivered last at the
// first look.
func (i *Inspector) strandedPages(ctx context.Context, s Selection, do func(layout *cluster.Layout, p int, page []Stranded) error) error {
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.partitions(layout) {
		input := layout.Keys(p).Input
		from, upto := "-", ""
		var referred map[string]bool
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
			if len(page) > 0 && referred == nil {
				if referred, err = i.referred(ctx, p); err != nil {
					return err
				}
			}
			page = slices.DeleteFunc(page, func(x Stranded) bool { return referred[x.ID] })
			if len(page) == 0 {
				continue
			}
			if err := do(layout, p, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// referred is the entries of a partition's input stream that dead letters refer to: those are where they belong.
func (i *Inspector) referred(ctx context.Context, p int) (map[string]bool, error) {
	ids := make(map[string]bool)
	for l, err := range i.Letters(ctx, Selection{Partitions: []int{p}}) {
		if err != nil {
			return nil, err
		}
		if l.Reference != "" {
			ids[l.Reference] = true
		}
	}
	return ids, nil
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
		held, err := parseLease(value, &parts[2+2*n], 0)
		owned[n] = err == nil && held.entry == page[n].ID
	}
	return owned, nil
}
