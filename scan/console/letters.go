package console

import (
	"net/http"

	"github.com/streamlease/streamlease/scan"
)

// classes are the reasons that this library gives, with what they mean.
var classes = []struct{ Class, Means string }{
	{"retries", "its handler failed too often"},
	{"permanent", "its handler said that it cannot succeed"},
	{"crashes", "its owners died too often while it stood out from what died with it"},
	{"malformed", "it cannot be parsed"},
	{"too_wide", "it has more fields than can be copied"},
	{"too_large", "it is too large to be copied"},
	{"refused", "Redis refused to move it, again and again"},
}

// lettersView is what the page of dead letters shows.
type lettersView struct {
	Filter  filter
	Rows    []scan.DeadLetter
	Next    string // link
	First   string // link; empty: this is the first page
	Classes any
}

// lettersPage lists dead letters, newest first.
func lettersPage(s *site, r *http.Request) (*view, error) {
	q := r.URL.Query()
	cursor, err := cursorOf(q)
	if err != nil {
		return nil, err
	}
	f, sel, err := filterOf(q)
	if err != nil {
		return nil, err
	}
	data := &lettersView{Filter: f, Classes: classes}
	ctx, done := s.bounded(r)
	defer done()
	rows, next, err := s.inspect().LettersPage(ctx, sel, cursor, 0)
	if err != nil {
		return nil, err
	}
	data.Rows = rows
	if next != "" {
		data.Next = f.link("letters", next)
	}
	if cursor != "" {
		data.First = f.link("letters", "")
	}
	return &view{template: "letters", title: "Dead letters", here: "letters", data: data}, nil
}

// letterPage shows one dead letter.
func letterPage(s *site, r *http.Request) (*view, error) {
	q := r.URL.Query()
	p, chosen, err := partitionOf(q)
	id := q.Get("id")
	switch {
	case err != nil:
		return nil, err
	case !chosen || id == "" || len(id) > mostCursor:
		return nil, badRequest("A dead letter is named by its partition and its ID.")
	}
	ctx, done := s.bounded(r)
	defer done()
	found, _, err := s.inspect().LettersPage(ctx, scan.Selection{Partitions: []int{p}, ID: id}, "", 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &refusal{http.StatusNotFound, "There is no such dead letter any more: it was sent back, dropped or trimmed."}
	}
	return &view{template: "letter", title: "Dead letter " + short(id), here: "letters", data: &found[0]}, nil
}
