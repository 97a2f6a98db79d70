package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/rueidis"
)

// outcome is what a change did, in JSON, as the beginning of all that is to say about it.
type outcome struct {
	Service string `json:"service"`
	Command string `json:"command"`
	DryRun  bool   `json:"dry_run"`
	Error   string `json:"error,omitempty"` // what went wrong, perhaps half-way
}

// outcome returns the outcome so far, with the error that it ends with or nil.
func (c *call) outcome(err error) outcome {
	_, command, _ := strings.Cut(c.cmd.FullName(), " ")
	o := outcome{Service: c.service, Command: command, DryRun: c.cmd.Bool("dry-run")}
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

// report writes the outcome of a change as JSON, if that is wanted, and returns err, or why it cannot be written.
func (c *call) report(object any, err error) error {
	if !c.json {
		return err
	}
	return errors.Join(err, c.object(object))
}

// unanswered reports whether an error leaves it open what a call has done.
func unanswered(err error) bool {
	var link net.Error
	return errors.As(err, &link) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, rueidis.ErrClosing) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// quantity returns a number of things, as in "1 stream is" or "2,000 streams are".
func quantity(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// verb returns the form that goes with a number of things.
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
