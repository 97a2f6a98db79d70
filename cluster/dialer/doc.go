// Package dialer makes the connections of an engine's own clients, so that three things can be done to them that the client
// library has no call for.
//
//   - Follow: a server has announced that an address goes away, and where to (MOVING). A [Dialer] connects to that endpoint in
//     place of the address from then on.
//   - Leave: the connections to the old endpoint are given up when nothing is on its way on them, so no call fails. For that a
//     connection counts commands and answers. What is refused because of it was not sent ([ErrLeft]), and is sent again on the
//     next connection, see cluster.Client.
//   - Wait: while servers may be slow for a reason that they announced, a call waits as long as its context says, and an
//     unanswered PING ends no connection. At all other times a connection that does not answer is given up as soon as
//     without this package.
//
// # Which endpoint is dialled
//
// A client goes on to ask for the address that it knows, by its options or by the cluster's map. Where a [Dialer] connects to
// instead is a route: a list of targets, tried in order, the address itself among them.
//
//	announced, the endpoint answers           [endpoint, address]
//	announced, the endpoint does not answer   [address, endpoint], so that it is tried once the address is gone
//	a target does not answer                  it goes to the end of the list
//	announced again                           the new endpoint takes the place of the old one
//
// A route ends when the topology does not name the address any more; when the address, back at the top of the list, answers
// after the announced time, since it is in service again; when an answer at the endpoint says that the address serves what was
// asked for (MOVED); and with the process. [returnAfter] after the announced time the address goes back to the top, so that
// what was announced long ago does not decide for ever where credentials are sent.
//
// It is for this module and may change in any version.
package dialer
