// Package console is the web page of the operators of a service: what is wrong, who owns what, what waits, what failed.
//
// A Console is an http.Handler. Mount it wherever the program has its other pages:
//
//	mux.Handle("/streamlease/", console.New(client, "chat"))
//
// It reads, and changes nothing unless WithActions says who may. One sampler reads what all pages show, for all viewers
// together, while somebody watches and for a minute afterwards; everything else is read when a page asks for it, page by page.
// Pages are complete without JavaScript; with it, those that show the fleet follow it by server-sent events.
//
// Nothing here asks who a viewer is: put the handler behind whatever guards the program's other pages.
package console
