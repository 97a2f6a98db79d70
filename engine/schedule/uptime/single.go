package main

import (
	"context"
	"net/url"
	"slices"
	"time"
)

const (
	// historySize is how many checks the page of a monitor shows.
	historySize = 100
	// countEvery is how old the shares on it may be: a month of checks each second are 2.6 million.
	countEvery = time.Minute
)

// monitorView is the page of one monitor.
type monitorView struct {
	page *page
	Name string
	Row
	Times      []time.Time // of the next checks
	Past       []Past      // the latest first
	Failed     []Past      // of Past
	Day, Month Share
	counted    time.Time // when Day and Month were
	Err        error
}

// Share is how many checks there were, and how many of them succeeded.
type Share struct{ Checks, Good int }

func (p *page) monitor(ctx context.Context, q url.Values) *monitorView {
	v := &monitorView{page: p, Name: q.Get("name")}
	v.look(ctx)
	return v
}

func (v *monitorView) look(ctx context.Context) {
	s, err := v.page.table.Get(ctx, v.Name)
	if v.Err = err; err != nil {
		return
	}
	v.Row = newRow(&s)
	v.Times = v.Times[:0]
	for _, at := range append([]time.Time{s.Next}, s.Following[:]...) {
		if !at.IsZero() {
			v.Times = append(v.Times, at)
		}
	}
	h, now := v.page.history, time.Now()
	if v.Past, v.Err = h.last(ctx, v.Name, historySize); v.Err != nil {
		return
	}
	v.Failed = slices.DeleteFunc(slices.Clone(v.Past), func(p Past) bool { return p.Error == "" })
	if now.Sub(v.counted) < countEvery {
		return
	}
	v.counted = now
	if v.Day, v.Err = h.share(ctx, v.Name, now.Add(-24*time.Hour)); v.Err == nil {
		v.Month, v.Err = h.share(ctx, v.Name, now.Add(-30*24*time.Hour))
	}
}

func (v *monitorView) changed(ctx context.Context, batch []Report) *fragment {
	if !slices.ContainsFunc(batch, func(r Report) bool { return r.Monitor == v.Name }) {
		return nil
	}
	return v.refreshed(ctx)
}

func (v *monitorView) refreshed(ctx context.Context) *fragment {
	v.look(ctx)
	return &fragment{"monitor", v}
}
