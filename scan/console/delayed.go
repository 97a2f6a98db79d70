package console

import (
	"net/http"

	"github.com/streamlease/streamlease/scan"
)

// delayedPage lists what is delayed, in the order in which it is due.
func delayedPage(s *site, r *http.Request) (*view, error) {
	data, err := list(s, r, "delayed", (*scan.Inspector).DelayedPage)
	if err != nil {
		return nil, err
	}
	return &view{template: "delayed", title: "Delayed", here: "delayed", data: &data}, nil
}
