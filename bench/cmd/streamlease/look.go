package main

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/scan"
)

// look is what top shows: one object of JSON.
type look struct {
	At            *time.Time  `json:"at"`
	Service       string      `json:"service"`
	Processes     []processOf `json:"processes"`
	Older         int         `json:"older_processes"` // of a version that says nothing of what it holds
	Dead          int         `json:"dead_processes"`
	Held          int         `json:"held"`
	Streams       int         `json:"streams"` // announcements that the processes share
	Fair          float64     `json:"fair"`    // streams for a weight of 1
	FrozenUntil   *time.Time  `json:"frozen_until"`
	Partitions    int         `json:"partitions"`
	Length        int         `json:"length"`
	Lag           int         `json:"lag"`
	LagExact      bool        `json:"lag_exact"`
	Pending       int         `json:"pending"`
	OldestWaiting float64     `json:"oldest_waiting_seconds"`
	OldestPending float64     `json:"oldest_pending_seconds"`
	Delayed       int         `json:"delayed"`
	Due           int         `json:"due"`
	DeadLetters   int         `json:"dead_letters"`
	Settling      int         `json:"settling_partitions"` // nobody takes a stream there, since its server was replaced
	Stranded      *int        `json:"stranded"`            // null: unknown, since the lag is an estimate
	Metrics       []figures   `json:"metrics,omitempty"`
	Error         string      `json:"error,omitempty"` // what could not be read; what is missing is that of the last look

	total   scan.Backlog
	balance scan.Balance
}

// processOf is a process in JSON.
type processOf struct {
	Name       string     `json:"name"`
	ConsumerID string     `json:"consumer_id"`
	Dead       bool       `json:"dead"`
	State      string     `json:"state"`
	Weight     float64    `json:"weight"`
	Held       int        `json:"held"`
	Fair       float64    `json:"fair"`
	Over       *time.Time `json:"over_since"`
	Wishes     []wish     `json:"wishes"`
}

func processIn(p *scan.Process) processOf {
	return processOf{
		Name: p.Name, ConsumerID: p.ConsumerID, Dead: p.Dead, State: string(p.State), Weight: p.Weight, Held: p.Held, Fair: p.Fair,
		Over: stamp(p.Over), Wishes: wishesOf(p.Wishes),
	}
}

// looker looks at a service again and again.
type looker struct {
	*call
	inspector *scan.Inspector // counts nothing
	scraper   *scraper
	last      *look // the last one, nil at first
}

// look reads what there is. What cannot be read stays as it was at the last look, and err says why.
func (k *looker) look(ctx context.Context) (*look, error) {
	now := &look{Service: k.service, At: stamp(k.now())}
	backlogs, err1 := k.inspector.Backlog(ctx)
	balance, err2 := k.inspector.Balance(ctx)
	settling, err3 := k.inspector.Settling(ctx)
	now.Settling = len(settling)
	if errors.Is(err1, scan.ErrUnknownService) {
		return nil, err1
	}
	if err1 == nil || k.last == nil {
		now.total, now.Partitions = totalOf(backlogs), len(backlogs)
	} else {
		now.total, now.Partitions, now.At = k.last.total, k.last.Partitions, k.last.At
	}
	if err2 == nil || k.last == nil {
		now.balance = balance
	} else {
		now.balance = k.last.balance
	}
	if !now.total.At.IsZero() {
		now.At = stamp(now.total.At)
	}
	now.fill()
	if k.scraper != nil {
		now.Metrics = k.scraper.look(ctx)
	}
	err := errors.Join(err1, err2, err3)
	if err != nil {
		now.Error = err.Error()
	}
	k.last = now
	return now, err
}

func (l *look) fill() {
	t, b := &l.total, &l.balance
	l.Length, l.Lag, l.LagExact, l.Pending = t.Length, t.Lag, t.LagBy.Exact(), t.Pending
	l.OldestWaiting, l.OldestPending = seconds(t.OldestWaiting), seconds(t.OldestPending)
	l.Delayed, l.Due, l.DeadLetters, l.Stranded = t.Later, t.Due, t.DeadLetters, known(t.Stranded)
	l.Older, l.Streams, l.Fair, l.FrozenUntil = b.Older, b.Streams, b.Fair, stamp(b.FrozenUntil)
	l.Processes = make([]processOf, len(b.Processes))
	for n := range b.Processes {
		l.Processes[n] = processIn(&b.Processes[n])
		l.Held += b.Processes[n].Held
		if b.Processes[n].Dead {
			l.Dead++
		}
	}
}
