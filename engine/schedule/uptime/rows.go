package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/schedule"
)

// Row is what the page shows of a monitor.
type Row struct {
	Name   string
	Target string
	Every  Duration
	State
	Kind  string // one of the kinds below
	Note  string // why it is paused, or what is wrong with it
	Last  time.Time
	Owner string
}

// Kinds of rows, which are also their classes in the style sheet.
const (
	kindUp      = "up"
	kindFailing = "failing" // up, and fewer than three failures in a row
	kindDown    = "down"
	kindUnknown = "unknown"
	kindPaused  = "paused"
	kindNew     = "new"
)

// newRow makes a row of what the table of schedules has.
func newRow(s *schedule.Status) Row {
	r := Row{Name: s.Spec.Name, Last: s.Last, Owner: process(s.Owner), Note: s.Note}
	if s.Err != nil {
		r.Kind, r.Note = kindUnknown, s.Err.Error()
		return r
	}
	monitor, err := schedule.DecodeInfo[Monitor](&s.Spec)
	if err != nil {
		r.Note = err.Error()
	}
	r.Target, r.Every = monitor.Target, monitor.Every
	if s.State != nil {
		if err := json.Unmarshal(s.State, &r.State); err != nil {
			r.Note = err.Error()
		}
	}
	r.Kind = r.State.kind()
	switch {
	case s.DeadLetter:
		r.Kind, r.Note = kindUnknown, "given up, since each process that checked it died: see the dead letters"
	case s.Paused:
		r.Kind = kindPaused
	}
	return r
}

// update brings a row up to date with a report.
func (r *Row) update(report *Report) {
	if report.At.Before(r.Last) {
		return
	}
	r.State, r.Kind, r.Last, r.Owner, r.Note = report.State, report.State.kind(), report.At, process(report.Owner), ""
}

func (s *State) kind() string {
	switch {
	case s.Unknown:
		return kindUnknown
	case s.Status == Down:
		return kindDown
	case s.Failures > 0:
		return kindFailing
	case s.Status == Up:
		return kindUp
	}
	return kindNew
}

// problem reports whether somebody should look at the monitor.
func (r *Row) problem() bool {
	return r.Kind == kindDown || r.Kind == kindFailing || r.Kind == kindUnknown
}

// ID is that of the element.
func (r Row) ID() string {
	h := fnv.New64a()
	h.Write([]byte(r.Name))
	return fmt.Sprintf("m%x", h.Sum64())
}

// process is the name that people gave to a consumer, without the suffix of this run.
func process(consumer string) string {
	if i := strings.LastIndexByte(consumer, '.'); i > 0 {
		return consumer[:i]
	}
	return consumer
}
