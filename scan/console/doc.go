// Package console is the web page of the operators of a service: what is wrong, who owns what, what waits, what failed.
//
// Use it where people are to look at a service, or to act on it. The command `streamlease serve` serves the same page without a program
// to put it in; programs that look by themselves use scan.Inspector, and graphs and alarms are made of metrics.
//
// A [Console] is an http.Handler. Mount it wherever the program has its other pages; any program with a client may, also one that runs no
// engine:
//
//	page := console.New(client, "chat")
//	defer page.Close() // before the client
//	mux.Handle("/streamlease/", page)
//
// Nothing here asks who a viewer is: put the handler behind whatever guards the program's other pages. It reads, and changes nothing unless
// [WithActions] says who may. [WithSchedules] and [WithPositions] show what schedules and feeds keep.
//
// # Errors
//
// [New] returns none: what is wrong with its arguments, or with Redis, is on each page, with a status of 4xx or 5xx. [ErrNoSchedule] is for
// those who implement [Schedules]: Get returns it for a name that no schedule has.
//
// # Concurrency and costs
//
// A Console is safe for concurrent use. One sampler reads what all pages show, for all viewers together, while somebody watches and for
// a minute afterwards; everything else is read when a page asks for it, page by page. Pages are complete without JavaScript; with it, those
// that show the fleet follow it by server-sent events, so each viewer keeps a connection. [docs/console.md] has the figures, and the rights
// that the user of the client needs.
//
// [docs/console.md]: https://github.com/streamlease/streamlease/blob/main/docs/console.md
package console
