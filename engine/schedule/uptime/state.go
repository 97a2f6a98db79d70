package main

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// downAfter is how many checks in a row have to fail before a monitor is down. One that succeeds makes it up.
const downAfter = 3

// maxError is the most that is kept of an error, in bytes, since states have to be short.
const maxError = 200

// Status is what a monitor is.
type Status string

const (
	New  Status = ""
	Up   Status = "up"
	Down Status = "down"
)

// State is what one owner of a monitor leaves to the next: Tick.Save keeps it, fenced, with the fact that the check was done. Times are
// those of ticks, so that a check which is repeated after a crash comes to the same state.
type State struct {
	Status   Status    `json:"status,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Unknown  bool      `json:"unknown,omitempty"` // the last check says nothing: this process was offline
	Failures int       `json:"failures,omitempty"`
	Failing  time.Time `json:"failing,omitzero"` // since when, if Failures is not 0
	Alerted  time.Time `json:"alerted,omitzero"` // the Since that people know of
	Error    string    `json:"error,omitempty"`
	// Took is how long the last check took.
	Took time.Duration `json:"took,omitempty"`
}

// after is the state that follows from a check at that time. offline: the network of this process is down, so a failure says nothing.
func (s State) after(at time.Time, took time.Duration, failure error, offline bool) State {
	s.Unknown, s.Error, s.Took = false, "", took
	switch {
	case failure == nil:
		s.Failures, s.Failing = 0, time.Time{}
		if s.Status == New {
			s.Alerted = at // that a new monitor is up is no news
		}
		if s.Status != Up {
			s.Status, s.Since = Up, at
		}
		return s
	case offline:
		s.Unknown, s.Failures, s.Failing = true, 0, time.Time{}
	default:
		if s.Failures == 0 {
			s.Failing = at
		}
		s.Failures++
		if s.Status != Down && s.Failures >= downAfter {
			s.Status, s.Since = Down, s.Failing
		}
	}
	s.Error = short(failure)
	return s
}

// news reports whether people have to be told.
func (s State) news() bool { return s.Status != New && !s.Since.Equal(s.Alerted) }

// short is the text of an error without the address, which everybody sees beside it.
func short(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxError)], "")
}
