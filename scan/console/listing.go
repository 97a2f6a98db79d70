package console

import (
	"context"
	"net/http"

	"github.com/streamlease/streamlease/scan"
)

// listing is one page of a list that can be filtered.
type listing[T any] struct {
	Filter filter
	Rows   []T
	Next   string // link
	First  string // link; empty: this is the first page
}

// list reads what a request asks for of a list. read is the inspector's call, and page the page that the links lead to.
func list[T any](s *site, r *http.Request, page string,
	read func(i *scan.Inspector, ctx context.Context, sel scan.Selection, cursor string, count int) ([]T, string, error)) (l listing[T], err error) {
	q := r.URL.Query()
	cursor, err := cursorOf(q)
	if err != nil {
		return l, err
	}
	f, sel, err := filterOf(q)
	if err != nil {
		return l, err
	}
	ctx, done := s.bounded(r)
	defer done()
	rows, next, err := read(s.inspect(), ctx, sel, cursor, 0)
	if err != nil {
		return l, err
	}
	l.Filter, l.Rows = f, rows
	if next != "" {
		l.Next = f.link(page, next)
	}
	if cursor != "" {
		l.First = f.link(page, "")
	}
	return l, nil
}
