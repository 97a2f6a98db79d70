package schedule

import (
	"context"
	"iter"
	"strconv"
	"strings"
)

// MaxPage is the greatest count that Page takes; 0 stands for 100.
const (
	MaxPage     = 1000
	defaultPage = 100
)

// Page returns some schedules in no order, from a cursor on: "" for the first page, then what the page before returned as next, until that is "".
// A page has about count schedules, at most 1,000 (0: 100); it may have a few more or fewer, and none at the end.
//
// Each schedule that is there all the while comes at least once. One that is put or deleted meanwhile comes or not, and some may come twice
// while the table grows or shrinks. Errors match api.ErrInvalidConfig for a count out of range and for a cursor that is none, or are as
// [Table] says.
func (t *Table) Page(ctx context.Context, cursor string, count int) (page []Status, next string, err error) {
	if count < 0 || count > MaxPage {
		return nil, "", invalid("a page of %d schedules: use 1 to %d, or 0 for %d", count, MaxPage, defaultPage)
	}
	if count == 0 {
		count = defaultPage
	}
	if err := t.publisher.Agree(ctx); err != nil {
		return nil, "", err
	}
	page, next, err = t.page(ctx, cursor, count, func(string, string) bool { return true })
	return page, next, t.withRights(ctx, err)
}

// page returns a page of those whose name and row are wanted. It is empty at the end only.
func (t *Table) page(ctx context.Context, cursor string, count int, wanted func(name, row string) bool) (page []Status, next string, err error) {
	p, at, err := t.parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	for {
		rows, err := t.store.page(ctx, p, at, count)
		if err != nil {
			return nil, "", explained("reading a page of schedules", err)
		}
		n := 0
		for i := range rows.names {
			if wanted(rows.names[i], rows.rows[i]) {
				rows.names[n], rows.rows[n] = rows.names[i], rows.rows[i]
				n++
			}
		}
		if page, err = t.statuses(ctx, p, rows.names[:n], rows.rows[:n]); err != nil {
			return nil, "", err
		}
		if at = rows.next; at == "0" {
			p++
		}
		if p == t.layout.Partitions() {
			return page, "", nil
		}
		if n > 0 {
			return page, strconv.Itoa(p) + "." + at, nil
		}
	}
}

// parseCursor returns the partition and the cursor within it of "<partition>.<cursor>".
func (t *Table) parseCursor(cursor string) (p int, at string, err error) {
	if cursor == "" {
		return 0, "0", nil
	}
	first, at, _ := strings.Cut(cursor, ".")
	p, err = strconv.Atoi(first)
	if err == nil {
		_, err = strconv.ParseUint(at, 10, 64)
	}
	if err != nil || p < 0 || p >= t.layout.Partitions() {
		return 0, "", invalid("the cursor %.40q is none that Page returned; begin with \"\"", cursor)
	}
	return p, at, nil
}

// Filter says which schedules List yields: those for which all holds that is set.
type Filter struct {
	Prefix  string // what their names begin with
	Paused  bool   // they are paused
	Unowned bool   // nobody owns them
	Failing bool   // Status.Err is not nil, or Status.DeadLetter is set
}

// List yields schedules in no order, reading page by page: nothing of what Page says is different. A row that cannot be read comes with
// Status.Err. An error that ends the list is yielded once, with a zero Status; errors are as with Page.
func (t *Table) List(ctx context.Context, f Filter) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		if err := t.publisher.Agree(ctx); err != nil {
			yield(Status{}, err)
			return
		}
		for cursor := ""; ; {
			page, next, err := t.page(ctx, cursor, callItems, func(name, _ string) bool { return strings.HasPrefix(name, f.Prefix) })
			if err != nil {
				yield(Status{}, t.withRights(ctx, err))
				return
			}
			for i := range page {
				if f.matches(&page[i]) && !yield(page[i], nil) {
					return
				}
			}
			if cursor = next; cursor == "" {
				return
			}
		}
	}
}

func (f *Filter) matches(s *Status) bool {
	return (!f.Paused || s.Paused) && (!f.Unowned || s.Owner == "") && (!f.Failing || s.Err != nil || s.DeadLetter)
}
