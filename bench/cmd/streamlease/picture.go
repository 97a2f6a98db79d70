package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/streamlease/streamlease/scan"
)

var toneOfBalance = map[scan.BalanceState]tone{
	scan.BalanceShares: good, scan.BalanceFull: warn, scan.BalanceBehind: bad, scan.BalancePaused: warn, scan.BalanceEvacuating: warn,
	scan.BalanceDraining: warn,
}

// picture is a look for people. before is the look before it; nil: none.
func (k *looker) picture(l, before *look) string {
	b, now := &l.balance, k.now()
	if l.At != nil {
		now = *l.At
	}
	var lines []string
	if l.Error != "" {
		text := "Not all of it can be read: "
		if before != nil {
			text = "Not all of it can be read now; the rest is from before: "
		}
		lines = append(lines, k.toned(bad, text+visible(oneLine(l.Error))))
	}
	head := fmt.Sprintf("%s at %s: %s", named(l.Service), local(now, now), counted(len(l.Processes)+l.Older, "process"))
	if l.Dead > 0 {
		head += ", " + k.toned(bad, number(l.Dead)+" dead")
	}
	if l.Older > 0 {
		head += fmt.Sprintf(", %d of an earlier version that does not say what it holds", l.Older)
	}
	lines = append(lines, head, k.totals(l, before), k.ages(l))
	if !b.FrozenUntil.IsZero() {
		lines = append(lines, k.toned(warn, "frozen: no stream moves to even out shares until "+local(b.FrozenUntil, now)))
	}
	lines = append(lines, "")
	if len(b.Processes) == 0 {
		lines = append(lines, "No process holds or takes streams.")
	} else {
		lines = append(lines, k.render(k.processes(l, now)))
	}
	if len(l.Metrics) > 0 {
		lines = append(lines, "", k.render(metricsOf(l.Metrics)))
	}
	return strings.Join(lines, "\n")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// totals is a line with what there is in all partitions.
func (k *looker) totals(l, before *look) string {
	t := &l.total
	change := func(now, then int) string {
		if before == nil || before.Error != "" || l.Error != "" || l.At == nil || before.At == nil || now == then {
			return ""
		}
		passed := l.At.Sub(*before.At).Seconds()
		if passed < 0.1 {
			return ""
		}
		return fmt.Sprintf(" (%+.0f/s)", float64(now-then)/passed)
	}
	var lagWas, pendingWas int
	if before != nil {
		lagWas, pendingWas = before.Lag, before.Pending
	}
	lag := lagText(t) + change(l.Lag, lagWas)
	return strings.Join([]string{
		"announced " + number(t.Length), "lag " + lag, "pending " + number(t.Pending) + change(l.Pending, pendingWas),
		"delayed " + number(t.Later), "due " + k.cell(unless0(warn, t.Due)), "dead letters " + k.cell(unless0(bad, t.DeadLetters)),
		"stranded " + k.cell(orUnknown(t.Stranded)),
	}, "   ")
}

// ages is a line with how long things have been waiting.
func (k *looker) ages(l *look) string {
	parts := []string{"oldest waiting " + waited(l.total.OldestWaiting), "oldest pending " + waited(l.total.OldestPending)}
	settling := l.Settling
	for _, f := range l.Metrics {
		settling = max(settling, f.Settling)
	}
	if settling > 0 {
		parts = append(parts, k.toned(warn, counted(settling, "partition")+" settling"))
	}
	return strings.Join(parts, "   ")
}

func (k *looker) processes(l *look, now time.Time) *listing {
	t := &listing{head: []any{"process", "state", ">weight", ">held", ">fair", ">held/fair", "over since", "wishes"}}
	weight, fair := 0.0, 0.0
	for _, p := range l.balance.Processes {
		state := any(toned{toneOfBalance[p.State], string(p.State)})
		if p.Dead {
			state = toned{bad, "dead"}
		}
		share := dash
		if p.Fair > 0 {
			share = fmt.Sprintf("%.0f %%", 100*float64(p.Held)/p.Fair)
		}
		t.row(named(p.Name), state, decimal(p.Weight), p.Held, int(math.Round(p.Fair)), share, relative(p.Over, now), wishText(p.Wishes))
		weight, fair = weight+p.Weight, fair+p.Fair
	}
	t.foot = []any{counted(len(l.balance.Processes), "process"), "", decimal(weight), l.Held, int(math.Round(fair))}
	return t
}

// wishText is what operators wish of a process, in a few words.
func wishText(wishes []scan.Wish) string {
	var all []string
	for _, w := range wishes {
		text := string(w.Kind)
		if w.Kind == scan.WishWeight {
			text += " " + decimal(w.Weight)
		}
		all = append(all, text+" for "+span(w.Left))
	}
	return strings.Join(all, ", ")
}

func metricsOf(all []figures) *listing {
	t := &listing{head: []any{"metrics of", ">held", ">renewals/s", ">late p99", ">handler queue", ">busy", "error"}}
	for _, f := range all {
		if f.Error != "" {
			t.row(namedIn(f.URL, 40), nil, nil, nil, nil, nil, toned{bad, shortened(oneLine(f.Error), 80)})
			continue
		}
		renewals, late := dash, dash
		if f.Renewals != nil {
			renewals = fmt.Sprintf("%.0f", *f.Renewals)
		}
		if f.Lateness != nil {
			late = "≤ " + span(time.Duration(*f.Lateness*float64(time.Second)))
		}
		t.row(namedIn(f.URL, 40), f.Held, renewals, late, unless0(warn, f.Queue), f.Busy)
	}
	return t
}
