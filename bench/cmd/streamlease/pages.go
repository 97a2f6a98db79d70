package main

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

// pageLimit is the most that a page has.
const pageLimit = 1000

// filters returns the flags that narrow a list of items.
func filters(items string, more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "stream", Usage: "only " + items + " of this data stream"},
		&cli.IntSliceFlag{Name: "partition", Usage: "only " + items + " in this partition; may be repeated"},
		limitFlag(),
	)
}

// checkFilters refuses a filter that somebody left empty by mistake.
func checkFilters(c *cli.Command) error {
	for _, name := range []string{"stream", "reason"} {
		if c.IsSet(name) && c.String(name) == "" {
			return usage("-%s is empty; leave it out for all", name)
		}
	}
	return nil
}

// narrowed reports whether a selection leaves anything out.
func narrowed(s scan.Selection) bool {
	return s.Stream != "" || s.Reason != "" || s.ID != "" || s.Partitions != nil
}

// pager reads a page of items.
type pager[T any] func(ctx context.Context, s scan.Selection, cursor string, count int) (page []T, next string, err error)

// first returns the first of all selected items in an order that they have within each partition, at most that many unless most is 0.
// populated are the partitions that have any.
func first[T any](ctx context.Context, s scan.Selection, populated []int, most int, read pager[T], order func(a, b T) int) (some []T, more bool, err error) {
	for _, p := range populated {
		if s.Partitions != nil && !slices.Contains(s.Partitions, p) {
			continue
		}
		mine := s
		mine.Partitions = []int{p}
		found, rest, err := pages(most, func(cursor string, count int) ([]T, string, error) { return read(ctx, mine, cursor, count) })
		if err != nil {
			return some, false, err
		}
		some, more = append(some, found...), more || rest
	}
	slices.SortStableFunc(some, order)
	if most > 0 && len(some) > most {
		return some[:most], true, nil
	}
	return some, more, nil
}

// pages reads page by page, up to most items unless that is 0.
func pages[T any](most int, read func(cursor string, count int) ([]T, string, error)) (all []T, more bool, err error) {
	for cursor := ""; ; {
		count := pageLimit
		if most > 0 {
			count = min(count, most-len(all))
		}
		page, next, err := read(cursor, count)
		if all = append(all, page...); err != nil {
			return all, false, err
		}
		if next == "" || most > 0 && len(all) == most {
			return all, next != "", nil
		}
		cursor = next
	}
}

// populated returns the partitions of which a number is above 0, and the sum.
func (c *call) populated(ctx context.Context, number func(*scan.Backlog) int) (some []int, total int, err error) {
	i, err := c.inspect(scan.InspectorConfig{CountLimit: scan.NoCount})
	if err != nil {
		return nil, 0, err
	}
	all, err := i.Backlog(ctx)
	for _, b := range all {
		if n := number(&b); n > 0 {
			some, total = append(some, b.Partition), total+n
		}
	}
	return some, total, err
}

// shown is a footer: how many items there are, and how many of them are shown.
func shown(n, total int, more bool, thing string) string {
	switch {
	case !more:
		return counted(n, thing)
	case total > n:
		return counted(n, thing) + " of " + number(total) + " (-limit)"
	}
	return counted(n, thing) + orMore(true)
}

// infoOf is the info of an announcement in JSON.
func infoOf(info json.RawMessage) json.RawMessage {
	if !json.Valid(info) {
		return nil
	}
	return info
}

// byID compares what was announced at the same time.
func byID(partition, partition2 int, id, id2 string) int {
	return cmp.Or(cmp.Compare(partition, partition2), cmp.Compare(id, id2))
}
