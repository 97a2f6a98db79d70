package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

// defaultSince is about how long a deploy takes.
const defaultSince = 15 * time.Minute

func (e *env) moves() *cli.Command {
	return e.task(task{
		name: "moves", usage: "what has changed hands lately: what the last deploy did", do: moves,
		flags: []cli.Flag{&cli.DurationFlag{Name: "since", Value: defaultSince, Usage: "how long ago to begin"}},
		check: func(c *cli.Command) error {
			if d := c.Duration("since"); d < scan.MinTurnover || d > scan.MaxTurnover {
				return usage("-since: %v is not between %v and %v", d, scan.MinTurnover, scan.MaxTurnover)
			}
			return nil
		},
		description: "TAKEN is how many of the streams that a process holds it has acquired since then. What it took and has finished or given up\n" +
			"since is not there any more.",
	})
}

// turnover is what has changed hands, in JSON.
type turnover struct {
	At        *time.Time `json:"at"`
	Window    float64    `json:"window_seconds"`
	Step      float64    `json:"step_seconds"`
	Processes []taken    `json:"processes"`
	Steps     []int      `json:"steps"`
	Whole     bool       `json:"whole"` // false: there was too much to look at, and all numbers are too small
}

// taken is what a process has taken, in JSON.
type taken struct {
	Name       string     `json:"name"`
	ConsumerID string     `json:"consumer_id"`
	Alive      bool       `json:"alive"`
	Held       int        `json:"held"`
	Taken      int        `json:"taken"`
	First      *time.Time `json:"first"`
	Last       *time.Time `json:"last"`
}

func turnoverOf(t *scan.Turnover) turnover {
	j := turnover{
		At: stamp(t.At), Window: seconds(t.Window), Step: seconds(t.Step), Processes: []taken{}, Steps: append([]int{}, t.Steps...), Whole: t.Whole,
	}
	for _, p := range t.Processes {
		j.Processes = append(j.Processes, taken{p.Name, p.ConsumerID, p.Alive, p.Held, p.Taken, stamp(p.First), stamp(p.Last)})
	}
	return j
}

func moves(ctx context.Context, c *call) error {
	t, err := c.inspector.Turnover(ctx, c.cmd.Duration("since"))
	if t.At.IsZero() {
		return err
	}
	if c.json {
		return cmp.Or(c.object(turnoverOf(&t)), err)
	}
	l := &listing{head: []any{"process", "alive", ">held", ">taken", "first taken", "last taken"}, none: "Nobody holds anything."}
	held, sum := 0, 0
	for _, p := range t.Processes {
		alive := any(toned{good, "alive"})
		if !p.Alive {
			alive = toned{bad, "no"}
		}
		l.row(named(p.Name), alive, p.Held, p.Taken, moment(p.First, t.At), moment(p.Last, t.At))
		held, sum = held+p.Held, sum+p.Taken
	}
	l.foot = []any{counted(len(t.Processes), "process"), "", held, sum}
	if err := c.list(nil, l); err != nil {
		return err
	}
	if sum > 0 {
		fmt.Fprintf(c.out, "\nStreams taken in each %s:\n%s\n", span(t.Step), strings.Join(histogram(&t), "\n"))
	} else {
		c.tell("Nothing was taken in the last %s.", span(t.Window))
	}
	if !t.Whole {
		fmt.Fprintln(c.errs, "There is too much to look at all of it: the numbers are too small.")
	}
	return err
}

// widestBar is the width of the longest bar of a histogram, in characters.
const widestBar = 50

// histogram is a line with a bar for each step, from the first to the last that has anything.
func histogram(t *scan.Turnover) (lines []string) {
	first, last := slices.IndexFunc(t.Steps, positive), len(t.Steps)
	for last > 0 && !positive(t.Steps[last-1]) {
		last--
	}
	if first < 0 {
		return nil
	}
	most, begin := slices.Max(t.Steps), t.At.Add(-t.Window)
	width := len(number(most))
	for k := first; k < last; k++ {
		n := t.Steps[k]
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s  %*s  %s", local(begin.Add(time.Duration(k)*t.Step), t.At), width, number(n), histogramBar(n, most)), " "))
	}
	return lines
}

func positive(n int) bool { return n > 0 }

// histogramBar is a bar of eighths of characters. What is not 0 has at least one.
func histogramBar(n, most int) string {
	if n <= 0 {
		return ""
	}
	eighths := max(n*widestBar*8/most, 1)
	return strings.Repeat("█", eighths/8) + []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}[eighths%8]
}
