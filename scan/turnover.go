package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Limits of the window of Turnover.
const (
	MinTurnover = time.Second
	MaxTurnover = 30 * 24 * time.Hour
)

const (
	turnoverSteps = 30
	// turnoverPage keeps a script at some 1 ms of the server's time.
	turnoverPage = 1000
	// turnoverAtOnce is how many partitions are read in one pipeline.
	turnoverAtOnce = 16
	// turnoverMost is how many pending announcements are looked at.
	turnoverMost = 200_000
)

// Turnover is what has changed hands lately, as far as it is still held: by a deploy, a crash, or evening out.
type Turnover struct {
	// At is when it was read, by the server's clock, and the end of the window.
	At time.Time

	// Window is how long before At it begins, and Step the thirtieth part of it.
	Window, Step time.Duration

	// Processes are those that hold anything, by name.
	Processes []Taken

	// Steps are how many streams were taken in each of the 30 steps, by all processes: Steps[k] from At-Window+k×Step on.
	Steps []int

	// Whole reports whether everything that is held was seen. Otherwise all numbers are too small: there is too much.
	Whole bool
}

// Taken is what one run of a process holds, and has taken within the window.
type Taken struct {
	Name       string // of the run, as engine.Engine.ID returns it
	ConsumerID string // the same in each run

	// Held is how many streams it holds, and Taken how many of them it has taken within the window.
	Held, Taken int

	// First and Last are when it took the first and the last of those; zero if there are none.
	First, Last time.Time

	// Alive reports whether it has a live session in a partition in which it holds anything.
	Alive bool
}

// Turnover returns which streams have changed hands within a window that ends now, from MinTurnover to MaxTurnover: how many each
// process has taken, and when. A stream counts as taken when its owner acquired it for the announcement for which it holds it now. What
// was taken and is done, or has moved on, is not there any more.
//
// It changes nothing, and reads what is pending without the announcements, up to some 200,000 of them: Turnover.Whole. What fails is missing,
// and the error says why. Errors match api.ErrInvalidConfig for the window, or ErrUnknownService.
func (i *Inspector) Turnover(ctx context.Context, window time.Duration) (Turnover, error) {
	if window < MinTurnover || window > MaxTurnover {
		return Turnover{}, fmt.Errorf("%w: a window of %v: use %v to %v", api.ErrInvalidConfig, window, MinTurnover, MaxTurnover)
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return Turnover{}, err
	}
	return i.turnover(ctx, layout, window, turnoverMost)
}

// turnover looks at some pending announcements more than most, if there are as many.
func (i *Inspector) turnover(ctx context.Context, layout *cluster.Layout, window time.Duration, most int) (Turnover, error) {
	c := counting{Inspector: i, window: window, runs: make(map[string]*Taken), steps: make([]int, turnoverSteps)}
	for p := range layout.Partitions() {
		c.left = append(c.left, &turning{partition: p, from: "-"})
	}
	for len(c.left) > 0 && c.seen < most && !c.gone {
		// All partitions in turn, so that what is seen of too much is from everywhere.
		round := c.left
		c.left = nil
		for some := range slices.Chunk(round, turnoverAtOnce) {
			if c.seen >= most || c.gone {
				c.left = append(c.left, some...)
			} else {
				c.read(ctx, layout, some)
			}
		}
	}
	return c.result(), c.failed.err()
}

// turning is how far a partition is read.
type turning struct {
	partition int
	from      string
	end       string // of the window, ms; empty at first
}

// counting is a Turnover while it is read.
type counting struct {
	*Inspector

	window time.Duration
	at     time.Time
	left   []*turning
	seen   int  // entries
	gone   bool // the client fails
	failed failures
	runs   map[string]*Taken
	steps  []int
}

// read reads a page of each of some partitions. Those that have more are left.
func (c *counting) read(ctx context.Context, layout *cluster.Layout, some []*turning) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	calls := make([]lease.Call, len(some))
	for n, of := range some {
		k := layout.Keys(of.partition)
		calls[n] = lease.Call{
			Script: scriptTaken,
			Keys:   []string{k.Input, k.Sessions},
			Args: []string{layout.Group(), of.from, strconv.Itoa(turnoverPage), strconv.Itoa(lease.MaxCallWeight), of.end, ms(c.window),
				strconv.Itoa(turnoverSteps)},
		}
	}
	for n, result := range c.run.DoMulti(ctx, calls) {
		parts, err := result.ToArray()
		if err == nil && len(parts) < 5 {
			err = errMalformed
		}
		if err == nil {
			err = c.add(some[n], parts)
		}
		if err != nil {
			c.failed.add(explained(fmt.Sprintf("what is pending in partition %d", some[n].partition), err))
			c.gone = c.gone || clientFails(err)
		}
	}
}

// add takes in a page of a partition.
func (c *counting) add(of *turning, parts []rueidis.RedisMessage) error {
	of.end = textOf(parts, 0)
	end, err1 := strconv.ParseFloat(of.end, 64)
	looked, err2 := parts[2].AsInt64()
	steps, err3 := parts[4].AsIntSlice()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if c.at.IsZero() {
		c.at = momentOf(end)
	}
	c.seen += int(looked)
	for k, n := range steps[:min(len(steps), turnoverSteps)] {
		c.steps[k] += int(n)
	}
	for n := range parts[5:] {
		if err := c.addRow(&parts[5+n]); err != nil {
			return err
		}
	}
	if last := textOf(parts, 1); textOf(parts, 3) != "1" && last != "" && last != greatestID {
		of.from = "(" + last
		c.left = append(c.left, of)
	}
	return nil
}

func (c *counting) addRow(part *rueidis.RedisMessage) error {
	row, err := part.ToArray()
	if err != nil || len(row) != 6 {
		return orMalformed(err)
	}
	var numbers [6]int64
	for n := 1; n < len(row); n++ {
		if numbers[n], err = row[n].AsInt64(); err != nil {
			return err
		}
	}
	run, id := runOf(textOf(row, 0))
	t := c.runs[run]
	if t == nil {
		t = &Taken{Name: run, ConsumerID: id}
		c.runs[run] = t
	}
	t.Held, t.Alive = t.Held+int(numbers[1]), t.Alive || numbers[5] == 1
	if numbers[2] == 0 {
		return nil
	}
	t.Taken += int(numbers[2])
	if first := momentOf(float64(numbers[3])); t.First.IsZero() || first.Before(t.First) {
		t.First = first
	}
	if last := momentOf(float64(numbers[4])); last.After(t.Last) {
		t.Last = last
	}
	return nil
}

func (c *counting) result() Turnover {
	t := Turnover{At: c.at, Window: c.window, Step: c.window / turnoverSteps, Steps: c.steps, Whole: len(c.left) == 0 && c.failed.err() == nil}
	for _, run := range c.runs {
		t.Processes = append(t.Processes, *run)
	}
	slices.SortFunc(t.Processes, func(a, b Taken) int { return strings.Compare(a.Name, b.Name) })
	return t
}
