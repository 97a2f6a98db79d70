package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func (e *env) wishes() *cli.Command {
	return e.task(task{
		name: "wishes", usage: "what operators wish of consumers: pause, drain, weight, freeze", do: wishes,
		description: "A wish ends by itself. streamlease resume takes one back.",
	})
}

// wish is a wish in JSON.
type wish struct {
	Kind     string  `json:"kind"`
	Consumer string  `json:"consumer"` // empty: all
	Weight   float64 `json:"weight,omitempty"`
	Left     float64 `json:"left_seconds"`
	Reason   string  `json:"reason"`
}

func wishOf(w *scan.Wish) wish {
	return wish{Kind: string(w.Kind), Consumer: w.Consumer, Weight: w.Weight, Left: seconds(w.Left), Reason: w.Reason}
}

func wishesOf(found []scan.Wish) []wish {
	all := make([]wish, len(found))
	for n := range found {
		all[n] = wishOf(&found[n])
	}
	return all
}

func wishes(ctx context.Context, c *call) error {
	found, err := c.inspector.Wishes(ctx)
	if err != nil {
		return err
	}
	l := &listing{head: []any{"wish", "consumer", ">weight", "for another", "ends", "reason"}, none: "No wishes."}
	now := c.now()
	for _, w := range found {
		consumer, weight := any(named(w.Consumer)), any(nil)
		if w.Consumer == "" {
			consumer = "all"
		}
		if w.Kind == scan.WishWeight {
			weight = decimal(w.Weight)
		}
		l.row(string(w.Kind), consumer, weight, span(w.Left), local(now.Add(w.Left).Round(time.Second), now), w.Reason)
	}
	return c.list(wishesOf(found), l)
}
