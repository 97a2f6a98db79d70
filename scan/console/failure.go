package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// errClosed: the console was closed.
var errClosed = errors.New("the console is closed, since its program is about to end; load the page again in a moment")

// refusal is an error of the request rather than of Redis, with its status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// badRequest refuses a request.
func badRequest(text string) error { return &refusal{http.StatusBadRequest, text} }

// explain returns what went wrong and what to do about it.
func explain(err error) (what, do string) {
	what = visible(err.Error())
	var r *refusal
	switch {
	case errors.As(err, &r), errors.Is(err, errClosed):
		return what, ""
	case errors.Is(err, scan.ErrUnknownService):
		return what, "Start the first process of the service, or check the name of the service and the database that the program of this page uses."
	case errors.Is(err, api.ErrServiceStopped):
		return what, "An operation on the whole service is under way, or was interrupted. The text says how to finish or undo it."
	case errors.Is(err, api.ErrInvalidConfig):
		return what, "Go back and correct it. If it is about the console's options, the program of this page has to be changed."
	case errors.Is(err, api.ErrUnsupportedServer), errors.Is(err, api.ErrMissingRights):
		return what, "Grant the user of this page what docs/acl.md lists for inspectors, or use a server that is supported."
	case errors.Is(err, context.DeadlineExceeded):
		return what, "Redis did not answer in time. Look at its CPU, at SLOWLOG, and at the network between it and this program. Nothing that processes hold is affected by this page."
	}
	if _, ok := lease.Refusal(err); ok {
		return what, "Redis refused. If rights are missing, docs/acl.md lists what inspectors need."
	}
	return what, "Redis cannot be reached, or does not answer as it should. Look whether it runs, and whether this program reaches it. Load the page again; it needs nothing else."
}

// statusOf returns the status of a page that shows an error.
func statusOf(err error) int {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r.status
	case errors.Is(err, api.ErrInvalidConfig), errors.Is(err, api.ErrInvalidStream):
		return http.StatusBadRequest
	}
	if _, refused := lease.Refusal(err); refused && !lease.Retryable(err) {
		return http.StatusBadGateway
	}
	return http.StatusServiceUnavailable
}
