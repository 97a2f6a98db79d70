package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// SendBack requeues the selected dead letters: each is moved to the input stream that it came from, in one step, with its
// counts of retries and crashes reset to zero; if the letter refers to an entry, that is copied and deleted. SendBack returns how
// many were moved. Letters that arrive after it has begun stay, including those that become dead letters again.
//
// A letter that cannot be copied stays, the others are moved, and the error says which and why: more fields than can be copied
// (about 3,900), or none of a producer's; heavier than InspectorConfig.MaxMove; the entry that it refers to is gone, or is
// pending or undelivered again. Any other error ends the call: where the input stream takes nothing more, is of another type,
// or the server is full, the rest stays where it is. After a connection error the page in flight may have been moved. Nothing
// is lost in any case, and the call may be repeated.
func (i *Inspector) SendBack(ctx context.Context, s Selection) (moved int, err error) {
	var stay failures
	err = i.letterPages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
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

// sendPage sends back as many letters of a page as one script moves, and returns those that it left.
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
		case lease.NotPending: // another call was faster
		case lease.Left:
			left = append(left, *l)
		case lease.Refused:
			err = fmt.Errorf("scan: sending dead letter %s of %s back to %s: %w", l.ID, k.DeadLetters, k.Input, lease.Explain(o.Err()))
		default:
			stay.add(fmt.Errorf("scan: dead letter %s of %s %s: not sent back", l.ID, k.DeadLetters, i.whyStays(l, o)))
		}
	}
	return moved, left, err
}

// whyStays returns why a letter cannot be sent back.
func (i *Inspector) whyStays(l *DeadLetter, o lease.Outcome) string {
	switch o.Verdict {
	case lease.TooWide:
		return "has more fields than can be copied"
	case lease.Bare:
		return "has no field of a producer, so there is nothing to announce"
	case lease.TooHeavy:
		return fmt.Sprintf("stands for an entry that weighs %s, and MaxMove is %d", o.Reason, lease.MoveLimit(i.set.MaxMove))
	case lease.Gone:
		return fmt.Sprintf("refers to entry %s, which was deleted", l.Reference)
	case lease.Owned:
		return fmt.Sprintf("refers to entry %s: %s", l.Reference, o.Reason)
	}
	return fmt.Sprintf("got the unknown verdict %q", rune(o.Verdict))
}

func letterIDs(page []DeadLetter) []string {
	ids := make([]string, len(page))
	for n := range page {
		ids[n] = page[n].ID
	}
	return ids
}

// Drop deletes the selected dead letters for good, and with them the entries that they refer to, except for those that are
// pending or undelivered again. The checkpoints of their streams are kept for Config.CheckpointTTL from then on. It returns how many letters were deleted. Letters that arrive after it has begun stay. After a
// connection error the page in flight may have been deleted.
func (i *Inspector) Drop(ctx context.Context, s Selection) (dropped int, err error) {
	err = i.letterPages(ctx, s, func(layout *cluster.Layout, p int, page []DeadLetter) error {
		ctx, cancel := i.bounded(ctx)
		defer cancel()
		k := layout.Keys(p)
		keys, args, refers := []string{k.DeadLetters, k.Checkpoints}, []string{layout.Group()}, false
		for n := range page {
			keys = append(keys, k.Lease(page[n].Stream))
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
