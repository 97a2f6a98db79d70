package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// SendBack hands the selected dead letters out again: each is moved to the input stream that it came from, in one step,
// with its counts of retries and crashes from zero; of one that refers to an entry, the entry is copied and deleted. It
// answers how many were moved. Letters that come after it has begun, those included that come back from where they were
// sent, stay.
//
// A letter that cannot be copied stays, the others are moved, and the error says which and why: more fields than can be
// copied (about 3,900), or none of a producer's; more than InspectorConfig.MaxMove; the entry that it refers to is gone, or
// somebody's again. Any other error ends it: where the input stream takes nothing more, is of another type, or the server
// is full, the rest stays where it is. After an error of the connection the page on its way may have been moved. Nothing is
// lost in any case, and the call may be repeated.
func (i *Inspector) SendBack(ctx context.Context, s Selection) (moved int, err error) {
	var stay failures
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		for len(page) > 0 {
			n, left, err := i.sendPage(ctx, layout, p, page, &stay)
			moved += n
			if err != nil {
				return err
			}
			page = left
		}
		return nil
	})
	return moved, errors.Join(stay.err(), err)
}

// sendPage sends as many letters of a page back as one script moves, and returns those that it left.
func (i *Inspector) sendPage(ctx context.Context, layout *cluster.Layout, p int, page []DeadLetter, stay *failures) (moved int, left []DeadLetter, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	k := layout.Keys(p)
	args := []string{layout.Group(), strconv.Itoa(lease.MoveLimit(i.set.MaxMove)), strconv.Itoa(lease.MaxCallWeight)}
	outcomes, err := lease.ParseOutcomes(i.run.Do(ctx, lease.Call{
		Script: scriptSendBack, Keys: []string{k.Input, k.DeadLetters}, Args: append(args, letterIDs(page)...),
	}), len(page))
	if err != nil {
		return 0, nil, explained("sending dead letters of "+k.DeadLetters+" back", err)
	}
	for n, o := range outcomes {
		l := &page[n]
		switch o.Verdict {
		case lease.Moved:
			moved++
		case lease.NotPending: // somebody else was faster
		case lease.Left:
			left = append(left, *l)
		case lease.Refused:
			err = fmt.Errorf("scan: sending dead letter %s of %s back to %s: %w", l.ID, k.DeadLetters, k.Input, lease.Explain(o.Err()))
		default:
			stay.add(fmt.Errorf("scan: dead letter %s of %s %s: it stays there", l.ID, k.DeadLetters, i.whyStays(l, o)))
		}
	}
	return moved, left, err
}

// whyStays is why a letter cannot be sent back.
func (i *Inspector) whyStays(l *DeadLetter, o lease.Outcome) string {
	switch o.Verdict {
	case lease.TooWide:
		return "has more fields than can be copied"
	case lease.Bare:
		return "has no field of a producer, so that nothing can be announced with it"
	case lease.TooHeavy:
		return fmt.Sprintf("is for an entry that weighs %s, and MaxMove is %d", o.Reason, lease.MoveLimit(i.set.MaxMove))
	case lease.Gone:
		return fmt.Sprintf("refers to entry %s, which somebody deleted", l.Reference)
	case lease.Owned:
		return fmt.Sprintf("refers to entry %s: %s", l.Reference, o.Reason)
	}
	return fmt.Sprintf("was answered with %q", rune(o.Verdict))
}

func letterIDs(page []DeadLetter) []string {
	ids := make([]string, len(page))
	for n := range page {
		ids[n] = page[n].ID
	}
	return ids
}

// Drop deletes the selected dead letters for good, and with them the entries that they refer to, but for those that are
// pending or undelivered again. It answers how many letters that were. Letters that come after it has begun stay. After an
// error of the connection the page on its way may have been deleted.
func (i *Inspector) Drop(ctx context.Context, s Selection) (dropped int, err error) {
	err = i.pages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		ctx, cancel := i.bounded(ctx)
		defer cancel()
		k := layout.Keys(p)
		keys, args, refers := []string{k.DeadLetters}, []string{layout.Group()}, false
		for n := range page {
			args = append(args, page[n].ID, page[n].Reference)
			refers = refers || page[n].Reference != ""
		}
		if refers {
			keys = append(keys, k.Input)
		}
		n, err := i.run.Do(ctx, lease.Call{Script: scriptDrop, Keys: keys, Args: args}).AsInt64()
		dropped += int(n)
		return explained("dropping dead letters of "+k.DeadLetters, err)
	})
	return dropped, err
}
