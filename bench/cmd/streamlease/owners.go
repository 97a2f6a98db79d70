package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

func (e *env) owners() *cli.Command {
	return e.task(task{
		name: "owners", usage: "who owns streams, and why one does not move", args: "[stream...]", most: -1, do: owners,
		flags: []cli.Flag{limitFlag()},
		description: "With names: all that Redis knows of each stream, first where it stands and why. Without: all streams that are owned, by\n" +
			"owner. -limit is for the latter.",
		check: func(c *cli.Command) error {
			for _, name := range c.Args().Slice() {
				if name == "" {
					return usage("a stream has a name")
				}
			}
			return nil
		},
	})
}

func owners(ctx context.Context, c *call) error {
	if c.cmd.Args().Present() {
		return stories(ctx, c, c.cmd.Args().Slice())
	}
	return allOwners(ctx, c)
}

// owned is a stream that is owned, in JSON.
type owned struct {
	stream
	Owner     string     `json:"owner"`
	Partition int        `json:"partition"`
	Token     api.Token  `json:"token"`
	Since     *time.Time `json:"since"`
	Until     *time.Time `json:"until"`
	Entry     string     `json:"entry"`
}

// allOwners lists what consumers hold, one consumer after the other.
func allOwners(ctx context.Context, c *call) error {
	found, err := c.inspector.Consumers(ctx)
	if err != nil {
		return err
	}
	runs := runsOf(found)
	all, most, more := []owned{}, c.cmd.Int("limit"), false
	l := &listing{head: []any{"stream", "owner", "since", "lease ends", ">token", ">partition"}, none: "Nobody owns a stream."}
	now := c.clock(ctx)
	for _, r := range runs {
		if r.Pending == 0 {
			continue
		}
		if more = most > 0 && len(all) >= most; more {
			break
		}
		held, rest, err := c.heldBy(ctx, r.Name, max(most-len(all), 0))
		if err != nil {
			return err
		}
		more = rest
		for _, h := range held {
			since := now.Add(-h.Idle)
			all = append(all, owned{streamOf(h.Stream), r.Name, h.Partition, h.Token, stamp(since), stamp(h.Until), h.Entry})
			l.row(named(h.Stream), named(r.Name), relative(since, now), relative(h.Until, now), tokenText(h.Token), h.Partition)
		}
	}
	l.foot = []any{shown(len(all), 0, more, "stream")}
	if err := c.list(all, l); err != nil {
		return err
	}
	if len(all) > 0 {
		c.hint("Next: streamlease owners STREAM tells all of one; streamlease holdings CONSUMER lists what is pending for one process.")
	}
	return nil
}

// heldBy returns the streams that a consumer holds, at most that many unless most is 0.
func (c *call) heldBy(ctx context.Context, name string, most int) (held []scan.Holding, more bool, err error) {
	return pages(most, func(cursor string, count int) (page []scan.Holding, next string, err error) {
		all, next, err := c.inspector.HoldingsPage(ctx, name, cursor, count)
		for _, h := range all {
			if h.Held {
				page = append(page, h)
			}
		}
		return page, next, err
	})
}

// stories tells what there is of each stream that is named.
func stories(ctx context.Context, c *call, names []string) error {
	all, now := []story{}, c.clock(ctx)
	var errs []error
	for n, name := range names {
		s, err := c.inspector.Story(ctx, name)
		switch {
		case errors.Is(err, scan.ErrUnknownService):
			return err
		case errors.Is(err, api.ErrInvalidStream):
			return usage("%w", err)
		case err != nil:
			errs = append(errs, err)
		case s.State == scan.StreamUnknown:
			errs = append(errs, nothing("there is nothing of stream %s", named(name)))
		}
		if s.Ownership.Stream == "" {
			continue // nothing could be read
		}
		if all = append(all, storyOf(&s)); c.json {
			continue
		}
		if n > 0 {
			fmt.Fprintln(c.out)
		}
		if err := c.labelled(nil, storyFields(&s, atOr(s.Ownership.At, now))); err != nil {
			return err
		}
	}
	if c.json {
		errs = append(errs, c.array(all))
	}
	return errors.Join(errs...)
}

func atOr(at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	return at
}
