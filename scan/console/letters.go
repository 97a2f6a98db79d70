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
	letterList
	Classes any
}

// letterList has a name without parameters: templates find what is in it under lettersView.
type letterList = listing[scan.DeadLetter]

// lettersPage lists dead letters, newest first.
func lettersPage(s *site, r *http.Request) (*view, error) {
	found, err := list(s, r, "letters", (*scan.Inspector).LettersPage)
	if err != nil {
		return nil, err
	}
	return &view{template: "letters", title: "Dead letters", here: "letters", data: &lettersView{found, classes}}, nil
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
