package scan

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Ownership tells who owns a stream, since when and until when.
type Ownership struct {
	Stream    string
	Partition int
	At        time.Time // of the answer, by the server's clock, as all times here

	// Consumer is the name of the owner; empty when there is none: the stream is waiting, was not announced, or is done. The
	// following fields are zero then.
	Consumer string
	Token    api.Token
	Entry    string // ID of the announcement that it is owned for
	Waiting  string // ID of a later announcement that waits for this one to end; empty: none is known

	// Since is when the stream was acquired; zero when the announcement is no longer pending for the owner, so that it is
	// unknown.
	Since time.Time

	// Until is when the lease expires if it is not renewed; zero for a lease without a TTL, which this library did not write.
	Until time.Time

	// Session is the owner's. If it is dead, closed or unknown, the lease is about to be recovered.
	Session Session

	// Retries and Crashes are the counts from before this ownership.
	Retries int
	Crashes int
}

// Owner returns who owns a stream. A stream without an owner is no error. Errors match api.ErrInvalidStream or ErrUnknownService,
// or are those of the client; a lease key with a value that this library did not write is an error, too.
func (i *Inspector) Owner(ctx context.Context, stream string) (Ownership, error) {
	if err := cluster.ValidateStream(stream); err != nil {
		return Ownership{}, err
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return Ownership{}, err
	}
	p := layout.Of(stream)
	k := layout.Keys(p)
	parts, err := i.call(ctx, lease.Call{
		Script: scriptOwner,
		Keys:   []string{k.Lease(stream), k.Sessions, k.Input},
		Args:   []string{layout.Group()},
	}, 5)
	o := Ownership{Stream: stream, Partition: p}
	if err == nil {
		err = o.parse(layout, parts)
	}
	return o, explained(fmt.Sprintf("owner of stream %.64q", stream), err)
}

func (o *Ownership) parse(layout *cluster.Layout, parts []rueidis.RedisMessage) error {
	now, err := parts[0].AsInt64()
	if err != nil {
		return err
	}
	o.At = time.UnixMilli(now)
	value, err := parts[1].ToString()
	if err != nil {
		return nil // no lease
	}
	held, err := lease.ParseValue(value)
	if err != nil {
		return err
	}
	o.Consumer, o.Token, o.Entry, o.Waiting, o.Until = held.Consumer, held.Token, held.Entry, held.Waiting, endOf(&parts[2], now)
	var holder consumerInfo
	holder.setDeadline(&parts[3])
	o.Session = holder.session(now)
	pending, err := parts[4].ToArray()
	if err != nil || len(pending) < 4 {
		return nil
	}
	if name, _ := pending[0].ToString(); name != o.Consumer {
		return nil
	}
	idle, err := pending[1].AsInt64()
	if err != nil {
		return err
	}
	o.Since = time.UnixMilli(now - idle)
	if e, err := lease.ParseBody(layout, o.Partition, o.Entry, pending[3:]); err == nil {
		o.Retries, o.Crashes = e.Retries, e.Crashes
	}
	return nil
}

// endOf returns when a lease with this TTL expires, in ms of the server's clock; zero for one without an end.
func endOf(ttl *rueidis.RedisMessage, now int64) (end time.Time) {
	if left, err := ttl.AsInt64(); err == nil && left >= 0 {
		end = time.UnixMilli(now + left)
	}
	return end
}

// Holding is one announcement that is pending for a consumer.
type Holding struct {
	Partition int
	Entry     string        // ID of the announcement
	Stream    string        // empty when the announcement cannot be parsed or was deleted
	Idle      time.Duration // since it was acquired, or read if it was not

	// Held reports whether the consumer owns the stream for this announcement. Otherwise the announcement was just read, or
	// waits for the stream, and the following fields are zero.
	Held  bool
	Token api.Token
	Until time.Time // when the lease expires if it is not renewed, by the server's clock
}

// Holdings yields what is pending for a consumer, by its full name as Consumers and Owner return it, partition by partition, the
// oldest announcement first. It reads page by page during the iteration. An unknown name yields nothing. An error is yielded
// once, with a zero holding, and ends the iteration.
func (i *Inspector) Holdings(ctx context.Context, consumer string) iter.Seq2[Holding, error] {
	return func(yield func(Holding, error) bool) {
		layout, err := i.layout(ctx)
		if err != nil {
			yield(Holding{}, err)
			return
		}
		for p := range layout.Partitions() {
			for from := "-"; ; {
				page, _, err := i.holdings(ctx, layout, p, consumer, from, i.set.Page)
				if err != nil {
					yield(Holding{}, explained(fmt.Sprintf("what %s holds in partition %d", consumer, p), err))
					return
				}
				if len(page) == 0 {
					break
				}
				from = "(" + page[len(page)-1].Entry
				for _, h := range page {
					if !yield(h, nil) {
						return
					}
				}
			}
		}
	}
}

// holdings reads a page. weight is what its announcements weigh together; from lease.MaxCallWeight on, that is what ended it.
func (i *Inspector) holdings(ctx context.Context, layout *cluster.Layout, p int, consumer, from string, most int) (page []Holding, weight int, err error) {
	k := layout.Keys(p)
	rows, err := i.call(ctx, holdingsCall(layout, k, consumer, from, most, lease.NameOnly), 0)
	if err != nil {
		return nil, 0, err
	}
	page = make([]Holding, len(rows))
	keys := make([]string, len(rows))
	for n, row := range rows {
		pending, err := lease.ParsePending(p, row)
		if err != nil {
			return nil, 0, err
		}
		page[n] = Holding{Partition: p, Entry: pending.ID, Idle: pending.Idle}
		keys[n] = k.Lease("")
		e, err := lease.Parse(layout, &pending.Entry)
		weight += e.Size
		if err == nil {
			page[n].Stream, keys[n] = e.Stream, e.Key
		}
	}
	return page, weight, i.addLeases(ctx, consumer, keys, page)
}

func holdingsCall(layout *cluster.Layout, k *cluster.Keys, consumer, from string, most, longest int) lease.Call {
	return lease.Call{
		Script: scriptHoldings,
		Keys:   []string{k.Input},
		Args:   append([]string{layout.Group(), consumer, from, strconv.Itoa(most)}, lease.BodyArgs(longest)...),
	}
}

// addLeases adds the leases of a page. An announcement whose body is gone shows no stream, and so no lease.
func (i *Inspector) addLeases(ctx context.Context, consumer string, keys []string, page []Holding) error {
	if len(page) == 0 {
		return nil
	}
	answer, err := i.call(ctx, lease.Call{Script: scriptLeases, Keys: keys}, 1+2*len(page))
	if err != nil {
		return err
	}
	now, err := answer[0].AsInt64()
	if err != nil {
		return err
	}
	for n := range page {
		value, err := answer[1+2*n].ToString()
		if err != nil {
			continue
		}
		held, err := lease.ParseValue(value)
		if err == nil && held.Consumer == consumer && held.Entry == page[n].Entry {
			page[n].Held, page[n].Token, page[n].Until = true, held.Token, endOf(&answer[2+2*n], now)
		}
	}
	return nil
}
