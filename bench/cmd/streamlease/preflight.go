package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/preflight"
)

func (e *env) preflight() *cli.Command {
	c := preflight.Command()
	act := c.Action
	c.Action = func(ctx context.Context, c *cli.Command) error {
		if c.NArg() > 0 {
			return usage("%s takes no arguments", c.FullName())
		}
		if err := c.Set("service", service(c)); err != nil {
			return err
		}
		err := act(ctx, c)
		if errors.As(err, new(preflight.UsageError)) {
			return usage("%w", err)
		}
		return err
	}
	return c
}
