package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

var outFlag = &cli.StringFlag{Name: "out", Usage: "folder for a report as an HTML page and as JSON; empty: none"}

var goalsFlag = &cli.BoolFlag{Name: "goals", Usage: "also show the goals of those who develop the library, and which of them are met here"}

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "write JSON"}

// partsFlag chooses some of all measurements of a command.
func partsFlag[P ~string](all []P) cli.Flag {
	var names strings.Builder
	for _, p := range all {
		names.WriteString(", " + string(p))
	}
	return &cli.StringFlag{Name: "parts", Value: "all", Usage: "what is measured, separated by commas: all" + names.String()}
}

// parts returns the measurements in that flag.
func parts[P ~string](c *cli.Command, all []P) ([]P, error) {
	some, err := list(c, "parts", func(name string) (P, error) {
		if name != "all" && !slices.Contains(all, P(name)) {
			return "", fmt.Errorf("%q is not one of all, %v", name, all)
		}
		return P(name), nil
	})
	if slices.Contains(some, "all") {
		return all, err
	}
	return some, err
}

// list returns what is in a flag, separated by commas.
func list[T any](c *cli.Command, flag string, parse func(text string) (T, error)) (all []T, err error) {
	for text := range strings.SplitSeq(c.String(flag), ",") {
		x, err := parse(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("-%s: %w", flag, err)
		}
		all = append(all, x)
	}
	return all, nil
}

// numbers returns the numbers in a flag, which are separated by commas.
func numbers(c *cli.Command, flag string) ([]int, error) {
	return list(c, flag, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%q is not a number of at least 1", text)
		}
		return n, nil
	})
}

// durations returns the durations in a flag, which are separated by commas.
func durations(c *cli.Command, flag string) ([]time.Duration, error) {
	return list(c, flag, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		return d, nil
	})
}

// intervals returns the intervals of schedules in a flag, which are separated by commas.
func intervals(c *cli.Command, flag string) ([]time.Duration, error) {
	return list(c, flag, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < schedule.MinEvery || d > schedule.MaxEvery || d%time.Millisecond != 0 {
			return 0, fmt.Errorf("%q is not an interval from %v, in whole milliseconds", text, schedule.MinEvery)
		}
		return d, nil
	})
}

// positive refuses numbers below 1.
func positive(c *cli.Command, flags ...string) error {
	for _, name := range flags {
		if n := c.Int(name); n < 1 {
			return fmt.Errorf("-%s: %d is not at least 1", name, n)
		}
	}
	return nil
}

// between refuses a duration that is out of range.
func between(c *cli.Command, flag string, from, upTo time.Duration) error {
	if d := c.Duration(flag); d < from || d > upTo {
		return fmt.Errorf("-%s: %v is not between %v and %v", flag, d, from, upTo)
	}
	return nil
}

// validTTLs refuses TTLs that engines do not take, and a session that outlives leases.
func validTTLs(c *cli.Command) error {
	if err := between(c, "lease-ttl", engine.MinTTL, engine.MaxTTL); err != nil {
		return err
	}
	return between(c, "session-ttl", engine.MinTTL, c.Duration("lease-ttl"))
}
