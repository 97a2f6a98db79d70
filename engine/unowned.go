package engine

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// unowned announces streams as OnlyIfUnowned says. While a stream's slot migrates, it cannot be found out who owns it: then it is
// announced in any case.
type unowned struct {
	client   rueidis.Client
	layout   *cluster.Layout
	runner   *lease.Runner
	add      func(stream string, fields []string) rueidis.Completed // announces in any case
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
	if len(again) > 0 {
		commands := make(rueidis.Commands, len(again))
		for n, i := range again {
			commands[n] = u.add(all[i].stream, all[i].fields)
		}
		for n, result := range u.client.DoMulti(ctx, commands...) {
			entries[again[n]], errs[again[n]] = result.ToString()
		}
	}
	for i, x := range all {
		// Without an answer, what stood before still counts: if it made another announcement, that is one too many.
		if errs[i] == nil && entries[i] != last[i] {
			u.standing.put(x.stream, entries[i])
		}
	}
	return entries, errs
}

// undecided reports whether a slot that migrates kept a server from finding out.
func undecided(err error) bool {
	code, _ := lease.Refusal(err)
	return code == "TRYAGAIN"
}
