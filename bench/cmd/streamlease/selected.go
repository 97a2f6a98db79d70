package main

import (
	"context"
	"regexp"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

// selecting returns the flags that select some of many items.
func selecting(items string, more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "stream", Usage: items + " of this data stream"},
		&cli.IntSliceFlag{Name: "partition", Usage: items + " in this partition; may be repeated"},
		&cli.StringFlag{Name: "id", Usage: "the one with this ID; with -partition, since IDs repeat across partitions"},
		&cli.BoolFlag{Name: "all", Usage: "all " + items + " of the service"},
	)
}

var entryID = regexp.MustCompile(`^\d{1,20}-\d{1,20}$`)

// checkSelected refuses flags that select nothing, or contradict each other.
func checkSelected(c *cli.Command) error {
	some := ""
	for _, name := range []string{"stream", "reason", "id"} {
		if !c.IsSet(name) {
			continue
		}
		if some = name; c.String(name) == "" {
			return usage("-%s is empty; leave it out for all, or name one", name)
		}
	}
	if c.IsSet("partition") && some == "" {
		some = "partition"
	}
	for _, p := range c.IntSlice("partition") {
		if p < 0 {
			return usage("-partition: %d is negative; they are counted from 0", p)
		}
	}
	switch id := c.String("id"); {
	case c.Bool("all") && some != "":
		return usage("-all is everything, and -%s is not: leave one of them out", some)
	case !c.Bool("all") && some == "":
		return usage("nothing is selected: use %s, or -all for everything", selectors(c))
	case id != "" && !entryID.MatchString(id):
		return usage("-id: %q is no ID such as 1700000000000-0", id)
	case id != "" && len(c.IntSlice("partition")) != 1:
		return usage("-id needs one -partition: IDs repeat across partitions")
	}
	return nil
}

func selectors(c *cli.Command) string {
	all := "-stream, -id with -partition, or -partition"
	for _, f := range c.Flags {
		if f.Names()[0] == "reason" {
			return "-reason, " + all
		}
	}
	return all
}

// selected returns what the flags select.
func (c *call) selected(ctx context.Context) (s scan.Selection, err error) {
	s = scan.Selection{Stream: c.cmd.String("stream"), Reason: c.cmd.String("reason"), ID: c.cmd.String("id")}
	if !c.cmd.IsSet("partition") {
		return s, nil
	}
	s.Partitions = c.cmd.IntSlice("partition")
	n, err := c.inspector.Partitions(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range s.Partitions {
		if p >= n {
			return s, usage("-partition: %d is not between 0 and %d: the service has %s", p, n-1, counted(n, "partition"))
		}
	}
	return s, nil
}
