package scan

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

const (
	// MaxPageCount is the greatest page that LettersPage, DelayedPage and HoldingsPage return.
	MaxPageCount = 1000
	// DefaultPageCount is the page that they return where no count is given.
	DefaultPageCount = 100

	// pageWork is how much is done for one page, besides finding out which partitions have anything: ten scripts, or forty that come
	// to the end of a partition, which have less to do.
	pageWork   = 40
	fullScript = 4
	lastScript = 1
)

// place is where a page begins: after an item of a partition, or at the beginning of it.
type place struct {
	partition int
	after     string // as the kind of page has it; empty: at the beginning
}

// reading is how one kind of item is read, partition by partition. The next functions are given places of that kind.
type reading[T any] struct {
	scope      string // what is listed, and which of it: a cursor of another scope is refused
	what       string // for errors
	partitions []int  // to go through

	// valid reports whether after is one that read returns.
	valid func(after string) bool
	// peek is a script that returns the same in each partition in which read finds nothing at the beginning.
	peek func(k *cluster.Keys) lease.Call
	// empty reports whether the answer to peek says so.
	empty func(parts []string) bool
	// read returns some items from a place on, at most so many; where the next one begins, and "" at the end of the partition; and
	// what it weighs.
	read func(ctx context.Context, layout *cluster.Layout, at place, most int) (some []T, after string, weight int, err error)
}

// pageOf reads one page. See Inspector.LettersPage for what it promises.
func pageOf[T any](ctx context.Context, i *Inspector, layout *cluster.Layout, r reading[T], cursor string, count int) (page []T, next string, err error) {
	if count < 0 || count > MaxPageCount {
		return nil, "", fmt.Errorf("%w: a page of %d: use 1 to %d, or 0 for %d", api.ErrInvalidConfig, count, MaxPageCount, DefaultPageCount)
	}
	if count == 0 {
		count = DefaultPageCount
	}
	slices.Sort(r.partitions)
	r.partitions = slices.Compact(r.partitions)
	if len(r.partitions) == 0 {
		return nil, "", nil
	}
	at := place{partition: r.partitions[0]}
	if cursor != "" {
		if at, err = r.parse(cursor); err != nil {
			return nil, "", err
		}
	}
	var peeked bool
	for weight, work := 0, 0; len(page) < count && weight < lease.MaxCallWeight && work < pageWork; {
		some, after, heavy, err := r.read(ctx, layout, at, count-len(page))
		if err != nil {
			return page, r.cursor(r.following(at.partition)), explained(fmt.Sprintf("%s of partition %d", r.what, at.partition), err)
		}
		page, weight, at.after = append(page, some...), weight+heavy, after
		if after != "" {
			work += fullScript
			continue
		}
		work += lastScript
		if !peeked {
			peeked = true
			r.skipEmpty(ctx, i, layout, at.partition)
		}
		if at = r.following(at.partition); at.partition < 0 {
			break
		}
	}
	return page, r.cursor(at), nil
}

// following returns the beginning of the next partition; its number is negative if there is none.
func (r *reading[T]) following(p int) place {
	n, found := slices.BinarySearch(r.partitions, p)
	if found {
		n++
	}
	if n == len(r.partitions) {
		return place{partition: -1}
	}
	return place{partition: r.partitions[n]}
}

// skipEmpty leaves out the partitions after p that have nothing. What cannot be read stays in, and read says why.
func (r *reading[T]) skipEmpty(ctx context.Context, i *Inspector, layout *cluster.Layout, p int) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	n, _ := slices.BinarySearch(r.partitions, p)
	rest := r.partitions[min(n+1, len(r.partitions)):]
	if len(rest) < 2 {
		return
	}
	calls := make([]lease.Call, len(rest))
	for n, p := range rest {
		calls[n] = r.peek(layout.Keys(p))
	}
	var full []int
	for n, result := range i.run.DoMulti(ctx, calls) {
		parts, err := result.ToArray()
		texts := make([]string, len(parts))
		for n := range parts {
			texts[n] = textOf(parts, n)
		}
		if err != nil || !r.empty(texts) {
			full = append(full, rest[n])
		}
	}
	r.partitions = append(r.partitions[:n+1:n+1], full...)
}

// cursor returns the place as text: "<scope>.<partition>.<after>". It is empty at the end.
func (r *reading[T]) cursor(at place) string {
	if at.partition < 0 {
		return ""
	}
	return r.tag() + "." + strconv.Itoa(at.partition) + "." + at.after
}

// parse returns the place of a cursor.
func (r *reading[T]) parse(cursor string) (at place, err error) {
	tag, rest, _ := strings.Cut(cursor, ".")
	number, after, ok := strings.Cut(rest, ".")
	p, err := strconv.Atoi(number)
	ok = ok && err == nil && number == strconv.Itoa(p) && tag == r.tag() && slices.Contains(r.partitions, p) && (after == "" || r.valid(after))
	if !ok {
		return at, fmt.Errorf("%w: the cursor %.60q is none that this call has returned for the same arguments; begin with \"\"", api.ErrInvalidConfig, cursor)
	}
	return place{partition: p, after: after}, nil
}

// tag tells cursors of different scopes apart.
func (r *reading[T]) tag() string {
	h := fnv.New32a()
	h.Write([]byte(r.scope))
	return r.scope[:1] + strconv.FormatUint(uint64(h.Sum32()), 16)
}

// scope is what the pages of one selection have in common, whatever their partitions.
func (s Selection) scope(kind string) string {
	return fmt.Sprintf("%s %q %q %q", kind, s.Reason, s.Stream, s.ID)
}
