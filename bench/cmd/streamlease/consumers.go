package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func (e *env) consumers() *cli.Command {
	return e.task(task{
		name: "consumers", usage: "list the runs of processes that are, or were, consumers of the service", do: consumers,
		description: "One that is dead is past the end of its session, and is about to be recovered: its streams go to others. One that is\n" +
			"closed ended on purpose. One that is unknown has no session; it is given one, and is dead when that ends.",
	})
}

// consumerRun is a consumer in all partitions.
type consumerRun struct {
	Name       string       `json:"name"`
	ConsumerID string       `json:"consumer_id"`
	State      string       `json:"state"` // where partitions differ: dead, unknown, closed, alive, the first that there is
	Until      *time.Time   `json:"until"` // the first end of a session of that state
	Pending    int          `json:"pending"`
	Partitions []runsInPart `json:"partitions"`
}

// runsInPart is a consumer in one partition.
type runsInPart struct {
	Partition int        `json:"partition"`
	State     string     `json:"state"`
	Until     *time.Time `json:"until"`
	Pending   int        `json:"pending"`
}

// gravity is the order of states, from the one that a person has to know of.
var gravity = []scan.SessionState{scan.SessionDead, scan.SessionUnknown, scan.SessionClosed, scan.SessionAlive}

var toneOfState = map[string]tone{
	string(scan.SessionDead): bad, string(scan.SessionUnknown): warn, string(scan.SessionClosed): faint, string(scan.SessionAlive): good,
}

func consumers(ctx context.Context, c *call) error {
	found, err := c.inspector.Consumers(ctx)
	if err != nil && found == nil {
		return err
	}
	runs, now := runsOf(found), c.clock(ctx)
	l := &listing{head: []any{"consumer", "state", "session ends", ">partitions", ">pending"}, none: "No consumers."}
	pending, alive := 0, 0
	for _, r := range runs {
		l.row(named(r.Name), toned{toneOfState[r.State], r.State}, relativeTo(r.Until, now), len(r.Partitions), r.Pending)
		pending += r.Pending
		if r.State == string(scan.SessionAlive) {
			alive++
		}
	}
	l.foot = []any{counted(len(runs), "consumer"), number(alive) + " alive", "", "", pending}
	if err := cmp.Or(c.list(runs, l), err); err != nil {
		return err
	}
	c.hint("Next: streamlease holdings CONSUMER, or streamlease top for shares.")
	return nil
}

// runsOf puts together what consumers are in all partitions, by name.
func runsOf(found []scan.Consumer) []*consumerRun {
	byName := make(map[string]*consumerRun)
	for _, f := range found {
		r := byName[f.Name]
		if r == nil {
			r = &consumerRun{Name: f.Name, ConsumerID: consumerID(f.Name)}
			byName[f.Name] = r
		}
		r.Pending += f.Pending
		r.Partitions = append(r.Partitions, runsInPart{f.Partition, string(f.Session.State), stamp(f.Session.Until), f.Pending})
	}
	runs := slices.SortedFunc(maps.Values(byName), func(a, b *consumerRun) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range runs {
		worst := slices.MinFunc(r.Partitions, func(a, b runsInPart) int { return cmp.Compare(rank(a.State), rank(b.State)) })
		r.State = worst.State
		for _, p := range r.Partitions {
			if p.State == worst.State && p.Until != nil && (r.Until == nil || p.Until.Before(*r.Until)) {
				r.Until = p.Until
			}
		}
	}
	return runs
}

func rank(state string) int {
	if n := slices.Index(gravity, scan.SessionState(state)); n >= 0 {
		return n
	}
	return -1 // of a later version: show it
}

// consumerID returns the part of the name of a run that is the same in each run of a process.
func consumerID(name string) string {
	if n := strings.LastIndexByte(name, '.'); n > 0 {
		return name[:n]
	}
	return name
}
