package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/schedule"
)

const (
	// overviewEvery is how old the counts on the page may be, with a table that is read in a 20th of that.
	overviewEvery = 5 * time.Second
	// hour is the time whose punctuality the page shows.
	hour = time.Hour
)

// Overview is the head of the page.
type Overview struct {
	Counts    map[string]int // by kind
	Total     int
	Processes []Process
	Problems  []Row // the first pageSize of them, by name
	Minutes   []Minute
	Sum       Minute // of Minutes
	Err       error  // what could not be read
}

// Kind is how many monitors are of a kind.
type Kind struct {
	Name  string
	Count int
}

// Kinds are those that there are, the worst first.
func (o *Overview) Kinds() (kinds []Kind) {
	for _, name := range []string{kindDown, kindUnknown, kindFailing, kindUp, kindNew, kindPaused} {
		if n := o.Counts[name]; n > 0 {
			kinds = append(kinds, Kind{name, n})
		}
	}
	return kinds
}

// Bad is how many monitors have problems.
func (o *Overview) Bad() int {
	return o.Counts[kindDown] + o.Counts[kindUnknown] + o.Counts[kindFailing]
}

// Process is how many monitors a process owns.
type Process struct {
	Name     string
	Monitors int
}

// overviewer makes overviews, seldom enough for any number of monitors and people who look.
type overviewer struct {
	table   table
	history *history

	mu   sync.Mutex // held while the table is read: others wait for the same overview
	last *Overview
	due  time.Time
}

// get returns the latest overview.
func (v *overviewer) get(ctx context.Context) *Overview {
	v.mu.Lock()
	defer v.mu.Unlock()
	began := time.Now()
	if began.Before(v.due) {
		return v.last
	}
	// Others wait for it, too, so it is not given up because the first of them goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	v.last = v.make(ctx)
	v.due = time.Now().Add(max(overviewEvery, 20*time.Since(began)))
	return v.last
}

func (v *overviewer) make(ctx context.Context) *Overview {
	o := &Overview{Counts: make(map[string]int)}
	names := make(map[string]bool) // a monitor may come twice while the table grows
	owned := make(map[string]int)
	for s, err := range v.table.List(ctx, schedule.Filter{}) {
		if err != nil {
			o.Err = err
			return o
		}
		if names[s.Spec.Name] {
			continue
		}
		names[s.Spec.Name] = true
		r := newRow(&s)
		o.Counts[r.Kind]++
		o.Total++
		owned[r.Owner]++
		if r.problem() {
			o.Problems = append(o.Problems, r)
		}
	}
	slices.SortFunc(o.Problems, byName)
	o.Problems = o.Problems[:min(len(o.Problems), pageSize)]
	for _, name := range slices.Sorted(maps.Keys(owned)) {
		o.Processes = append(o.Processes, Process{name, owned[name]})
	}
	o.Minutes, o.Err = v.history.minutes(ctx, time.Now().Add(-hour))
	for _, m := range o.Minutes {
		o.Sum.Checks += m.Checks
		o.Sum.Late += m.Late
		o.Sum.Missed += m.Missed
		o.Sum.Latest = max(o.Sum.Latest, m.Latest)
	}
	return o
}

func byName(a, b Row) int { return strings.Compare(a.Name, b.Name) }
