package main

import (
	"context"
	"net/url"
	"slices"

	"github.com/streamlease/streamlease/engine/schedule"
)

// pageSize is how many monitors a page shows.
const pageSize = 50

// listView is a page of monitors: those at a cursor of the table, those with a prefix, or those with problems.
type listView struct {
	page     *page
	Query    url.Values
	Overview *Overview
	Rows     []Row
	Next     string // cursor of the next page; "" on the last one
	Err      error
	shown    bool // all of it, once
}

func (p *page) list(ctx context.Context, q url.Values) *listView {
	v := &listView{page: p, Query: q, Overview: p.overview.get(ctx)}
	switch prefix := q.Get("prefix"); {
	case v.Problems():
		v.Rows, v.Err = slices.Clone(v.Overview.Problems), v.Overview.Err
	case prefix != "":
		for s, err := range p.table.List(ctx, schedule.Filter{Prefix: prefix}) {
			if v.Err = err; err != nil || len(v.Rows) == pageSize {
				break
			}
			v.Rows = append(v.Rows, newRow(&s))
		}
	default:
		var found []schedule.Status
		found, v.Next, v.Err = p.table.Page(ctx, q.Get("cursor"), pageSize)
		for i := range found {
			v.Rows = append(v.Rows, newRow(&found[i]))
		}
	}
	slices.SortFunc(v.Rows, byName)
	return v
}

// Problems reports whether the page shows those only.
func (v *listView) Problems() bool { return v.Query.Has("problems") }

func (v *listView) changed(_ context.Context, batch []Report) *fragment {
	latest := make(map[string]*Report, len(batch))
	for i := range batch {
		latest[batch[i].Monitor] = &batch[i]
	}
	var changed []Row
	for i := range v.Rows {
		if report := latest[v.Rows[i].Name]; report != nil {
			v.Rows[i].update(report)
			changed = append(changed, v.Rows[i])
		}
	}
	if changed == nil {
		return nil
	}
	return &fragment{"rows", changed}
}

// refreshed renders the overview, and at first and where it may have changed, which monitors there are. Else rows change with reports only.
func (v *listView) refreshed(ctx context.Context) *fragment {
	v.Overview = v.page.overview.get(ctx)
	if v.Problems() {
		v.Rows = slices.Clone(v.Overview.Problems)
	}
	if v.shown && !v.Problems() {
		return &fragment{"overview", v}
	}
	v.shown = true
	return &fragment{"list", v}
}
