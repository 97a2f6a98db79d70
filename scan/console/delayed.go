package console

import (
	"net/http"

	"github.com/streamlease/streamlease/scan"
)

// delayedView is what the page of delayed announcements shows.
type delayedView struct {
	Filter filter
	Rows   []scan.Delayed
	Next   string // link
	First  string // link; empty: this is the first page
}

// delayedPage lists what is delayed, in the order in which it is due.
func delayedPage(s *site, r *http.Request) (*view, error) {
	q := r.URL.Query()
	cursor, err := cursorOf(q)
	if err != nil {
		return nil, err
	}
	f, sel, err := filterOf(q)
	if err != nil {
		return nil, err
	}
	data := &delayedView{Filter: f}
	ctx, done := s.bounded(r)
	defer done()
	rows, next, err := s.inspect().DelayedPage(ctx, sel, cursor, 0)
	if err != nil {
		return nil, err
	}
	data.Rows = rows
	if next != "" {
		data.Next = f.link("delayed", next)
	}
	if cursor != "" {
		data.First = f.link("delayed", "")
	}
	return &view{template: "delayed", title: "Delayed", here: "delayed", data: data}, nil
}
