package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

const (
	// publishChunk and publishBytes bound what PublishMany has in flight at once: fewer commands than the client's ring takes,
	// which is 1,024, and few enough bytes for a chunk to take some milliseconds.
	publishChunk = 512
	publishBytes = 1 << 20

	// publishErrors is how many errors PublishMany lists.
	publishErrors = 10
)

// PublishMany announces data streams as Publish does, many in one round trip. The entry IDs are in the order of the items; "" means
// that the announcement is not confirmed: it was refused, or failed, or was not sent (or, with OnlyIfUnowned, that the stream is owned). err lists the first 10 of those and counts
// the others; it is nil if all are confirmed. A bad item does not keep the others from being announced. If Redis confirms none of
// a chunk of items, or ctx ends, the rest is not sent.
func (p *Publisher) PublishMany(ctx context.Context, items ...api.Announcement) (entries []string, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	entries = make([]string, len(items))
	if err := p.agree(ctx); err != nil {
		return entries, err
	}
	var failed failures
	for next := 0; next < len(items); {
		chunk := p.cutChunk(items, &next, &failed)
		if len(chunk) == 0 || p.send(ctx, chunk, entries, &failed) {
			continue
		}
		if rest := len(items) - next; rest > 0 {
			failed.addLast(fmt.Errorf("%d announcements were not sent after that; announce them again", rest))
		}
		break
	}
	return entries, failed.err()
}

// chunked is an encoded item of PublishMany.
type chunked struct {
	encoded
	index   int  // in items and entries
	unowned bool // OnlyIfUnowned
}

// cutChunk encodes as many items, from next on, as are sent together, and advances next past them. Those that cannot be encoded are
// added to failed.
func (p *Publisher) cutChunk(items []api.Announcement, next *int, failed *failures) []chunked {
	var chunk []chunked
	for size := 0; *next < len(items) && len(chunk) < publishChunk && size < publishBytes; *next++ {
		a := &items[*next]
		fields, err := p.encoder.encode(a)
		if err != nil {
			failed.add(*next, a.Stream, err)
			continue
		}
		for _, text := range fields {
			size += len(text)
		}
		chunk = append(chunk, chunked{encoded: encoded{a.Stream, fields}, index: *next, unowned: a.OnlyIfUnowned})
	}
	return chunk
}

// send announces a chunk, each of its two kinds in one pipeline for each server. It reports whether any of it was confirmed.
func (p *Publisher) send(ctx context.Context, chunk []chunked, entries []string, failed *failures) (confirmed bool) {
	at := slices.IndexFunc(chunk, func(x chunked) bool { return x.unowned })
	if at < 0 {
		return p.sendAll(ctx, chunk, p.announceMany, entries, failed)
	}
	var plain, unowned []chunked
	for _, x := range chunk {
		if x.unowned {
			unowned = append(unowned, x)
		} else {
			plain = append(plain, x)
		}
	}
	confirmed = len(plain) > 0 && p.sendAll(ctx, plain, p.announceMany, entries, failed)
	return p.sendAll(ctx, unowned, p.unowned.announceMany, entries, failed) || confirmed
}

// sendAll announces items by one kind of call.
func (p *Publisher) sendAll(ctx context.Context, chunk []chunked, announce func(context.Context, []encoded) ([]string, []error),
	entries []string, failed *failures) (confirmed bool) {
	items := make([]encoded, len(chunk))
	for i := range chunk {
		items[i] = chunk[i].encoded
	}
	made, errs := announce(ctx, items)
	for i, x := range chunk {
		if errs[i] != nil {
			failed.add(x.index, x.stream, explainPublish(errs[i]))
			continue
		}
		entries[x.index], confirmed = made[i], true
	}
	return confirmed
}

// announceMany adds entries.
func (p *Publisher) announceMany(ctx context.Context, chunk []encoded) (entries []string, errs []error) {
	commands := make(rueidis.Commands, len(chunk))
	for i, x := range chunk {
		commands[i] = p.command(x.stream, x.fields)
	}
	entries, errs = make([]string, len(chunk)), make([]error, len(chunk))
	for i, result := range p.client.DoMulti(ctx, commands...) {
		entries[i], errs[i] = result.ToString()
	}
	return entries, errs
}

// failures collects the errors of many announcements, in bounded space.
type failures struct {
	listed []error
	more   int   // failed and are not listed
	last   error // listed however many there are; nil: none
}

func (f *failures) add(index int, stream string, err error) {
	if len(f.listed) == publishErrors {
		f.more++
		return
	}
	f.listed = append(f.listed, fmt.Errorf("item %d: %w", index, announcing(stream, err)))
}

// addLast adds an error that is listed however many there are, after the others.
func (f *failures) addLast(err error) { f.last = err }

func (f *failures) err() error {
	all := f.listed
	if f.more > 0 {
		all = append(all, fmt.Errorf("%d more failed; those not confirmed have no entry", f.more))
	}
	return errors.Join(append(all, f.last)...)
}
