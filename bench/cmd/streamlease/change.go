package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// describe writes what a service has.
func describe(out io.Writer, s *scan.Survey) {
	switch {
	case s.State == lease.Deleting:
		fmt.Fprintf(out, "Service %s: its deletion has begun and is not finished.\n", s.Service)
	case s.State != "":
		fmt.Fprintf(out, "Service %s: %s from %d to %d partitions has begun and is not finished.\n", s.Service, s.State, s.Partitions, s.Target)
	case s.Partitions == 0:
		fmt.Fprintf(out, "Service %s: no number of partitions is on record.\n", s.Service)
	default:
		fmt.Fprintf(out, "Service %s: %d partitions.\n", s.Service, s.Partitions)
	}
	for _, c := range s.Contents {
		fmt.Fprintf(out, "Partition %d: %d announcements (%d pending), %d delayed, %d dead letters, %d schedules, %d leases, %d consumers alive\n",
			c.Partition, c.Announcements, c.Pending, c.Later, c.DeadLetters, c.Schedules, c.Leases, c.Alive)
		for _, k := range c.Keys {
			fmt.Fprintf(out, "    %s  %s  %d\n", k.Name, k.Type, k.Length)
		}
	}
	if len(s.Unknown) > 0 {
		fmt.Fprintf(out, "Keys that this version does not know: %s\n", strings.Join(s.Unknown, ", "))
	}
}

type deletion struct{}

func (deletion) plan(s *scan.Survey) string {
	t := s.Total()
	return fmt.Sprintf("Everything will be deleted: %d announcements, %d delayed, %d dead letters, and %d schedules will be lost.",
		t.Announcements, t.Later, t.DeadLetters, t.Schedules)
}

func (deletion) do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (string, error) {
	n, err := i.DeleteService(ctx, progress)
	return fmt.Sprintf("%d keys were deleted.", n), err
}

type repartition struct{ to int }

func (r *repartition) plan(s *scan.Survey) string {
	t := s.Total()
	return fmt.Sprintf("It will have %d partitions; of %d announcements, %d delayed, %d dead letters, and %d schedules, those that then belong to another partition will be moved.",
		r.to, t.Announcements, t.Later, t.DeadLetters, t.Schedules)
}

func (r *repartition) do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (string, error) {
	n, err := i.Repartition(ctx, r.to, progress)
	return fmt.Sprintf("%d items were moved; start engines and publishers with WithPartitions(%d).", n, r.to), err
}
