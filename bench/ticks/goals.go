package ticks

import (
	"fmt"
	"io"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/engine"
)

const goalSchedules = 10_000

// goalsAt are those of one process with goalSchedules, by interval; 0: none.
var goalsAt = map[time.Duration]struct{ commands, redis, client, p99 float64 }{
	time.Second:      {60, 5, 6, 20},
	30 * time.Second: {25, 1.5, 0, 0},
}

const (
	goalDrain    = 500  // ms that a tick may be late by a drain
	goalKill     = 2    // seconds beyond the session TTL that a tick may be late by a kill
	goalRepeats  = 1    // of a schedule, by a kill
	goalInForce  = 1200 // ms until a change is in force, p99
	goalMany     = 1_000_000
	goalMemory   = 650 // MB of the server
	goalStart    = 45  // seconds
	goalDeclared = 10_000
	goalDeclare  = .3 // seconds
)

func (r Result) goals(out io.Writer) {
	for _, c := range r.Cells {
		if goal, ok := goalsAt[c.Every]; ok && c.Schedules == goalSchedules {
			c.goals(out, goal.commands, goal.redis, goal.client, goal.p99)
		}
	}
	for _, h := range r.Handovers {
		h.goals(out, r.Options.SessionTTL)
	}
	if c := r.Changes; c != nil {
		for _, what := range []fired.What{fired.Retime, fired.Reword, fired.Remove} {
			report.Goal(out, fmt.Sprintf("%s: ms until it is in force, p99", what), c.InForce[what].P99.Seconds()*1e3, "at most", goalInForce)
		}
		report.Goal(out, "changes: schedules whose owner changed", float64(c.Moved), "at most", 0)
		report.Goal(out, "changes: promises that did not hold", float64(c.Faults()), "at most", 0)
	}
	if d := r.Declared; d != nil && d.Schedules == goalDeclared {
		at := report.Grouped(d.Schedules) + " declared again: "
		report.Goal(out, at+"seconds", measure.Median(d.Same).Seconds(), "at most", goalDeclare)
		report.Goal(out, at+"writes", float64(d.Writes), "at most", 0)
	}
	for _, l := range r.Many {
		if l.Schedules == goalMany {
			at := report.Grouped(l.Schedules) + " schedules: "
			report.Goal(out, at+"MB of the server", float64(l.Fired)/1e6, "at most", goalMemory)
			report.Goal(out, at+"seconds until one process that starts owns all", l.Start.Seconds(), "at most", goalStart)
		}
	}
}

func (c Cell) goals(out io.Writer, commands, redis, client, p99 float64) {
	at := c.name() + ", one process: "
	report.Goal(out, at+"commands a second", middle(c, One, commandsOf), "at most", commands)
	report.Goal(out, at+"Redis, % of a core", 100*middle(c, One, redisOf), "at most", redis)
	if client > 0 {
		report.Goal(out, at+"client, % of a core", 100*middle(c, One, clientOf), "at most", client)
	}
	if p99 > 0 {
		report.Goal(out, at+"ms late, p99", middle(c, One, p99Of).Seconds()*1e3, "at most", p99)
	}
}

func (h Handover) goals(out io.Writer, session time.Duration) {
	at := h.name() + ": "
	report.Goal(out, at+"ticks lost", float64(h.Lost+h.Silent), "at most", 0)
	if h.End == Replaced {
		report.Goal(out, at+"ticks fired again", float64(h.Repeated+h.Unexcused), "at most", 0)
		report.Goal(out, at+"ms late at most", h.Late.Max.Seconds()*1e3, "at most", goalDrain)
		return
	}
	if session == 0 {
		session = engine.DefaultSessionTTL
	}
	report.Goal(out, at+"ticks of one schedule fired again", float64(h.MostOfOne), "at most", goalRepeats)
	report.Goal(out, at+"seconds until all are owned", h.Owned.Seconds(), "at most", session.Seconds()+goalKill)
	report.Goal(out, at+"seconds late at most", h.Late.Max.Seconds(), "at most", session.Seconds()+goalKill)
}

func commandsOf(c Cost) float64  { return c.Commands }
func redisOf(c Cost) float64     { return c.Redis }
func clientOf(c Cost) float64    { return c.Client }
func p99Of(c Cost) time.Duration { return c.P99 }
