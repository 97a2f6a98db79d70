package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

func (e *env) signal() *cli.Command {
	return e.task(task{
		name: "signal", usage: "send a signal to the owner of a stream; nothing is sent if nobody owns it", args: "STREAM [PAYLOAD, or - for stdin]", least: 1, most: 2,
		description: fmt.Sprintf("Its handler gets the payload, up to %d bytes, as with Publisher.Signal. A signal is a hint: it is lost if the owner leaves.", api.MaxSignal),
		flags:       []cli.Flag{dryRun()},
		do:          sendSignal,
	})
}

// signalOutcome is what became of a signal, in JSON.
type signalOutcome struct {
	outcome
	stream
	Owner string `json:"owner"`
	Sent  bool   `json:"sent"`
	Bytes int    `json:"bytes"`
}

// since says for how long a stream has been owned, if that is known.
func since(o *scan.Ownership) string {
	if o.Since.IsZero() {
		return ""
	}
	return ", for " + span(o.At.Sub(o.Since)) + " now"
}

func sendSignal(ctx context.Context, c *call) error {
	name, payload := c.cmd.Args().Get(0), []byte(c.cmd.Args().Get(1))
	if string(payload) == "-" {
		var err error
		if payload, err = io.ReadAll(io.LimitReader(c.in, api.MaxSignal+1)); err != nil {
			return fmt.Errorf("reading the payload: %w", err)
		}
	}
	if len(payload) > api.MaxSignal {
		return usage("the payload has more than %d bytes; keep what is longer elsewhere, and signal where it is", api.MaxSignal)
	}
	o, err := c.inspector.Owner(ctx, name)
	if errors.Is(err, api.ErrInvalidStream) {
		return usage("%w", err)
	}
	if err != nil {
		return err
	}
	result := signalOutcome{stream: streamOf(name), Owner: o.Consumer, Bytes: len(payload)}
	switch {
	case o.Consumer == "":
		err = nothing("nobody owns %s, so a signal would be lost: nothing was sent", named(name))
	case c.cmd.Bool("dry-run"):
		c.tell("%s owns %s and would get a signal of %s. Nothing was sent.", o.Consumer, named(name), counted(len(payload), "byte"))
	default:
		err = c.inspector.Signal(ctx, name, payload)
		if errors.Is(err, api.ErrInvalidStream) {
			err = usage("%w", err)
		}
		if unanswered(err) {
			err = fmt.Errorf("%w; it may have been sent all the same: if it is sent again, its owner may get it twice", err)
		}
		if result.Sent = err == nil; result.Sent {
			c.tell("Sent to %s, which owns %s%s.", o.Consumer, named(name), since(&o))
		}
	}
	result.outcome = c.outcome(err)
	return c.report(result, err)
}
