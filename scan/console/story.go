package console

import (
	"net/http"

	"github.com/streamlease/streamlease/scan"
)

// storyView is what the page of a stream shows.
type storyView struct {
	Name     string
	Typed    string // what the search box has: the name, where it can be typed
	Story    *scan.Story
	Position string // up to which message it was handled; empty: unknown
}

// streamPage tells why a stream is where it is.
func streamPage(s *site, r *http.Request) (*view, error) {
	data := &storyView{Name: r.URL.Query().Get("name")}
	data.Typed = typed(data.Name)
	v := &view{template: "stream", title: "Stream", here: "stream", data: data}
	if data.Name == "" {
		return v, nil
	}
	v.title = "Stream " + short(data.Name)
	ctx, done := s.bounded(r)
	defer done()
	story, err := s.inspect().Story(ctx, data.Name)
	if err != nil {
		return nil, err
	}
	data.Story = &story
	if c := story.Checkpoint; c != nil && s.set.positions != nil {
		if id, ok := s.set.positions(c.Value); ok {
			data.Position = id
		}
	}
	return v, nil
}
