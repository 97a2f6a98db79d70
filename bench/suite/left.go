package suite

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Left is what is on the server of a service.
type Left struct {
	Input       int // announcements in the input stream, those that are pending included
	Pending     int
	Later       int
	DeadLetters int
	Leases      int
	Consumers   int // in the group, or with a session
}

func (l Left) sum() int { return l.Input + l.Later + l.DeadLetters + l.Leases + l.Consumers }

func (l Left) String() string {
	var some []string
	for _, x := range []struct {
		n    int
		what string
	}{
		{l.Input, "announcements"}, {l.Pending, "of them pending"}, {l.Later, "put off"}, {l.DeadLetters, "dead letters"},
		{l.Leases, "leases"}, {l.Consumers, "consumers"},
	} {
		if x.n > 0 {
			some = append(some, fmt.Sprintf("%s %s", grouped(x.n), x.what))
		}
	}
	if some == nil {
		return "nothing"
	}
	return strings.Join(some, ", ")
}

// keeper looks at what is on the server of a service.
type keeper struct {
	client    rueidis.Client
	inspector *scan.Inspector
	layout    *cluster.Layout
	producer  producer.Producer
	streams   int // the first so many of the producer's
}

func newKeeper(s *site, p producer.Producer, streams int) (*keeper, error) {
	layout, err := cluster.NewLayout(p.Service, s.parts)
	if err != nil {
		return nil, err
	}
	inspector, err := scan.NewInspector(s.client, p.Service, scan.InspectorConfig{Partitions: s.parts, Timeout: reach, CountLimit: -1})
	return &keeper{s.client, inspector, layout, p, streams}, err
}

// inPlay is how many announcements are not done.
func (k *keeper) inPlay(ctx context.Context) (n int, err error) {
	all, err := k.inspector.Backlog(ctx)
	for _, b := range all {
		n += b.Length + b.Later
	}
	return n, err
}

// look is one script a partition, and a call a lease that there may be.
func (k *keeper) look(ctx context.Context) (l Left, err error) {
	all, err := k.inspector.Backlog(ctx)
	if err != nil {
		return l, err
	}
	for _, b := range all {
		l.Input += b.Length
		l.Pending += b.Pending
		l.Later += b.Later
		l.DeadLetters += b.DeadLetters
	}
	consumers, err := k.inspector.Consumers(ctx)
	if err != nil {
		return l, err
	}
	l.Consumers = len(consumers)
	l.Leases, err = k.leases(ctx)
	return l, err
}

// leases asks for those that there may be by name: somebody's server may have millions of keys.
func (k *keeper) leases(ctx context.Context) (n int, err error) {
	const page = 500
	for from := 0; from < k.streams; from += page {
		var exist rueidis.Commands
		for i := from; i < min(from+page, k.streams); i++ {
			stream := k.producer.Stream(i)
			exist = append(exist, k.client.B().Exists().Key(k.layout.Keys(k.layout.Of(stream)).Lease(stream)).Build())
		}
		for _, result := range k.client.DoMulti(ctx, exist...) {
			there, err := result.AsInt64()
			if err != nil {
				return n, err
			}
			n += int(there)
		}
	}
	return n, nil
}
