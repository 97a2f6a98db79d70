package schedule

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
)

const (
	// pipelined is how many scripts are sent at once, to each server. They run one by one, and others get their turn between them.
	pipelined = 16

	// listedErrors is how many errors a call lists.
	listedErrors = 10
)

// Table changes and shows the schedules of a service. It is what forms, deploy scripts and operators use: processes that run schedules need
// none. It starts no goroutine and need not be closed. It is safe for concurrent use.
//
// Changes reach the owner of a schedule within about a second; it goes on owning it. While a slot migrates, some calls are refused with
// TRYAGAIN; repeat them later. Errors match those of engine.Publisher.Publish for a service that was stopped, has another number of partitions or is
// unknown; for everything else they say what was refused, and what to do. After a call without an answer, what it was to do may have been
// done or not: repeat it. All but Trigger may be repeated without harm.
type Table struct {
	publisher *engine.Publisher
	layout    *cluster.Layout
	store     *tableStore
}

// NewTable makes a table of a service that uses client, which the caller closes. The options are those of a publisher, and must be as for the
// engines of the service: engine.WithPartitions above all. It sends nothing yet. Errors match api.ErrInvalidConfig.
func NewTable(client rueidis.Client, service string, opts ...engine.PublisherOption) (*Table, error) {
	publisher, err := engine.NewPublisher(client, service, opts...)
	if err != nil {
		return nil, err
	}
	layout, err := cluster.NewLayout(service, publisher.Partitions())
	if err != nil { // a bug: the publisher has one
		return nil, err
	}
	return &Table{publisher: publisher, layout: layout, store: newTableStore(lease.NewRunner(client, nil), layout)}, nil
}

// batch is what one call of a script is about: items of one partition, as numbers of whatever the caller has.
type batch struct {
	partition int
	items     []int
}

// batches groups n items by partition, and cuts the groups so that one call has at most 256, and no more bytes than a server should get at
// once.
func (t *Table) batches(n int, name func(i int) string, weight func(i int) int) (all []batch) {
	byPartition := make([][]int, t.layout.Partitions())
	for i := range n {
		p := t.layout.Of(name(i))
		byPartition[p] = append(byPartition[p], i)
	}
	for p, items := range byPartition {
		for _, some := range lease.Batches(items, callItems, func(i *int) int { return weight(*i) }) {
			all = append(all, batch{p, some})
		}
	}
	return all
}

// each runs a call for each batch, some at a time in one pipeline for each server, and gives the answers to do. If none of a pipeline is
// answered, or ctx ends, it sends no more, and returns how many batches were not sent, and false.
func (t *Table) each(ctx context.Context, all []batch, call func(*batch) lease.Call, do func(*batch, rueidis.RedisResult)) (unsent int, ok bool) {
	for ok = true; ok && len(all) > 0; {
		some := all[:min(pipelined, len(all))]
		all = all[len(some):]
		calls := make([]lease.Call, len(some))
		for i := range some {
			calls[i] = call(&some[i])
		}
		answered := false
		for i, answer := range t.store.runner.DoMulti(ctx, calls) {
			err := answer.Error()
			answered = answered || err == nil || isRefusal(err)
			do(&some[i], answer)
		}
		ok = answered && ctx.Err() == nil
	}
	return len(all), ok
}

func isRefusal(err error) bool {
	_, refused := lease.Refusal(err)
	return refused
}

// errNotSent is what became of the rest after a pipeline without an answer.
var errNotSent = errors.New("not sent after calls without an answer; repeat it")

// errorList collects errors, in bounded space.
type errorList struct {
	listed []error
	more   int
	last   error // listed however many there are
}

func (l *errorList) add(err error) {
	switch {
	case err == nil:
	case len(l.listed) == listedErrors:
		l.more++
	default:
		l.listed = append(l.listed, err)
	}
}

func (l *errorList) err() error {
	all := l.listed
	if l.more > 0 {
		all = append(all[:len(all):len(all)], fmt.Errorf("schedule: %d more failed", l.more))
	}
	return errors.Join(append(all[:len(all):len(all)], l.last)...)
}
