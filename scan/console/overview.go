package console

import "net/http"

var overviewLive = following{template: "overview", parts: []string{"problems", "figures"}}

// overviewPage answers whether all is well.
func overviewPage(*site, *http.Request) (*view, error) {
	return &view{template: "overview", title: "Overview", here: "overview", follow: link("live", "view", "overview"), live: &overviewLive}, nil
}
