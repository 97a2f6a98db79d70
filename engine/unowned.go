package engine

import (
	"context"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// unowned announces streams as OnlyIfUnowned says.
type unowned struct {
	layout   *cluster.Layout
	runner   *lease.Runner
	standing standing
}

// encoded is an announcement as it is sent.
type encoded struct {
	stream string
	fields []string // names and values in turn
}

func (u *unowned) announce(ctx context.Context, stream string, fields []string) (entry string, err error) {
	entries, errs := u.announceMany(ctx, []encoded{{stream, fields}})
	return entries[0], errs[0]
}

// announceMany announces many streams, in one pipeline for each server.
func (u *unowned) announceMany(ctx context.Context, all []encoded) (entries []string, errs []error) {
	calls, last := make([]lease.Call, len(all)), make([]string, len(all))
	for i, x := range all {
		last[i] = u.standing.get(x.stream)
		calls[i] = lease.AnnounceUnowned(u.layout, x.stream, last[i], x.fields)
	}
	entries, errs = make([]string, len(all)), make([]error, len(all))
	var again []int
	for i, result := range u.runner.DoMulti(ctx, calls) {
		if entries[i], errs[i] = lease.ParseAnnounced(result); undecided(errs[i]) {
			again = append(again, i)
		}
	}
	u.announceApart(ctx, all, again, last, entries, errs)
	for i, x := range all {
		// Without an answer, what stood before still counts: if it made another announcement, that is one too many.
		if errs[i] == nil && entries[i] != last[i] {
			u.standing.put(x.stream, entries[i])
		}
	}
	return entries, errs
}

// announceApart announces some of all, whose slots migrate, with calls of one key each: first whether the stream is owned, then whether last
// stands. A message a stream would be an announcement too many, for as long as a slot takes.
func (u *unowned) announceApart(ctx context.Context, all []encoded, some []int, last, entries []string, errs []error) {
	if len(some) == 0 {
		return
	}
	looks := make([]lease.Call, len(some))
	for n, i := range some {
		looks[n] = lease.LookOwned(u.layout, all[i].stream)
	}
	var calls []lease.Call
	var free []int
	for n, result := range u.runner.DoMulti(ctx, looks) {
		i := some[n]
		owned, leaving, err := lease.ParseOwned(result)
		if entries[i], errs[i] = "", err; err != nil || owned {
			continue
		}
		stands := last[i]
		if stands == leaving {
			stands = ""
		}
		calls, free = append(calls, lease.AnnounceUnlooked(u.layout, all[i].stream, stands, all[i].fields)), append(free, i)
	}
	if len(calls) == 0 {
		return
	}
	for n, result := range u.runner.DoMulti(ctx, calls) {
		entries[free[n]], errs[free[n]] = lease.ParseAnnounced(result)
	}
}

// undecided reports whether a slot that migrates kept a server from finding out.
func undecided(err error) bool {
	code, _ := lease.Refusal(err)
	return code == "TRYAGAIN"
}
