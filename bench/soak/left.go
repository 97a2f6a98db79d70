package soak

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Left is what a service has on the server.
type Left struct {
	Input       int // announcements in the input stream, pending ones included
	Pending     int
	Stranded    int // neither pending nor to be delivered, and no dead letter refers to them; known only at the end
	Later       int // delayed announcements
	DeadLetters int // dead letters of announcements that are no poison
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
		{l.Input, "announcements"}, {l.Pending, "of them pending"}, {l.Stranded, "of them stranded"}, {l.Later, "delayed"}, {l.DeadLetters, "dead letters"},
		{l.Leases, "leases"}, {l.Consumers, "consumers"},
	} {
		if x.n > 0 {
			some = append(some, fmt.Sprintf("%s %s", report.Grouped(x.n), x.what))
		}
	}
	if some == nil {
		return "nothing"
	}
	return strings.Join(some, ", ")
}

// store is what a service has on the server, as the soak reads and changes it.
type store struct {
	client    rueidis.Client
	inspector *scan.Inspector
	layout    *cluster.Layout
	producer  producer.Producer
	streams   int            // how many streams the producer announces
	text      *regexp.Regexp // matches the beginning of announcements
}

func newStore(s *target.Target, p producer.Producer, streams int) (*store, error) {
	layout, err := cluster.NewLayout(p.Service, s.Partitions)
	if err != nil {
		return nil, err
	}
	inspector, err := scan.NewInspector(s.Client, p.Service, scan.InspectorConfig{Partitions: s.Partitions, Timeout: target.Timeout, CountLimit: -1})
	return &store{s.Client, inspector, layout, p, streams, announcementText(p.Prefix)}, err
}

// inPlay is the number of announcements that are not done.
func (s *store) inPlay(ctx context.Context) (n int, err error) {
	all, err := s.inspector.Backlog(ctx)
	for _, b := range all {
		n += b.Length + b.Later
	}
	return n, err
}

//go:embed stranded.lua
var strandedScript string

// strandedEntry is an entry that is neither pending nor to be delivered.
type strandedEntry struct {
	input, id string
	which     announcement // zero: it cannot be read
}

// stranded returns the entries that are neither pending nor to be delivered.
func (s *store) stranded(ctx context.Context) (all []strandedEntry, err error) {
	for part := range s.layout.Partitions() {
		input := s.layout.Keys(part).Input
		rows, err := s.client.Do(ctx, s.client.B().Eval().Script(groupScript+strandedScript).Numkeys(1).Key(input).Arg(s.layout.Group()).Build()).ToArray()
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			parts, err := row.AsStrSlice()
			if err != nil || len(parts) != 2 {
				return nil, fmt.Errorf("looking for stranded entries: malformed answer: %w", err)
			}
			which, _ := s.announcement(parts[1])
			all = append(all, strandedEntry{input, parts[0], which})
		}
	}
	return all, nil
}

// requeue adds a stranded entry again, as an operator would, and deletes the old one.
func (s *store) requeue(ctx context.Context, l strandedEntry) error {
	page, err := s.client.Do(ctx, s.client.B().Xrange().Key(l.input).Start(l.id).End(l.id).Build()).AsXRangeSlices()
	if err != nil || len(page) == 0 {
		return err
	}
	var fields []string
	for _, f := range page[0].FieldValues {
		fields = append(fields, f.Field, f.Value)
	}
	if err := s.add(ctx, l.input, fields); err != nil {
		return err
	}
	return s.client.Do(ctx, s.client.B().Xdel().Key(l.input).Id(l.id).Build()).Error()
}

// look reads what is there but the stranded entries. It takes one script for each partition and one call for each possible lease.
func (s *store) look(ctx context.Context) (l Left, err error) {
	all, err := s.inspector.Backlog(ctx)
	if err != nil {
		return l, err
	}
	for _, b := range all {
		l.Input += b.Length
		l.Pending += b.Pending
		l.Later += b.Later
		l.DeadLetters += b.DeadLetters
	}
	consumers, err := s.inspector.Consumers(ctx)
	if err != nil {
		return l, err
	}
	l.Consumers = len(consumers)
	l.Leases, err = s.leases(ctx)
	return l, err
}

// leases counts leases. It asks for each by name, since a server that is not ours may have millions of keys.
func (s *store) leases(ctx context.Context) (n int, err error) {
	const page = 500
	for from := 0; from < s.streams; from += page {
		var exist rueidis.Commands
		for i := from; i < min(from+page, s.streams); i++ {
			stream := s.producer.Stream(i)
			exist = append(exist, s.client.B().Exists().Key(s.layout.Keys(s.layout.Of(stream)).Lease(stream)).Build())
		}
		for _, result := range s.client.DoMulti(ctx, exist...) {
			there, err := result.AsInt64()
			if err != nil {
				return n, err
			}
			n += int(there)
		}
	}
	return n, nil
}
