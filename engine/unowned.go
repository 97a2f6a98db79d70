package engine

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// announceUnowned announces a stream as OnlyIfUnowned says. While the stream's slot migrates, that cannot be found out: then it is
// announced in any case.
func (p *Publisher) announceUnowned(ctx context.Context, stream string, fields []string) (entry string, err error) {
	last := p.standing.get(stream)
	entry, err = lease.ParseAnnounced(p.runner.Do(ctx, lease.AnnounceUnowned(p.layout, stream, last, fields)))
	if undecided(err) {
		entry, err = p.client.Do(ctx, p.command(stream, fields)).ToString()
	}
	p.remember(stream, last, entry, err)
	return entry, err
}

// announceManyUnowned does the same for many streams, in one pipeline for each server.
func (p *Publisher) announceManyUnowned(ctx context.Context, chunk []chunked) (entries []string, errs []error) {
	calls, last := make([]lease.Call, len(chunk)), make([]string, len(chunk))
	for i, x := range chunk {
		last[i] = p.standing.get(x.stream)
		calls[i] = lease.AnnounceUnowned(p.layout, x.stream, last[i], x.fields)
	}
	entries, errs = make([]string, len(chunk)), make([]error, len(chunk))
	var again []int
	for i, result := range p.runner.DoMulti(ctx, calls) {
		if entries[i], errs[i] = lease.ParseAnnounced(result); undecided(errs[i]) {
			again = append(again, i)
		}
	}
	if len(again) > 0 {
		commands := make(rueidis.Commands, len(again))
		for n, i := range again {
			commands[n] = p.command(chunk[i].stream, chunk[i].fields)
		}
		for n, result := range p.client.DoMulti(ctx, commands...) {
			entries[again[n]], errs[again[n]] = result.ToString()
		}
	}
	for i, x := range chunk {
		p.remember(x.stream, last[i], entries[i], errs[i])
	}
	return entries, errs
}

// undecided reports whether a slot that migrates kept a server from finding out.
func undecided(err error) bool {
	code, _ := lease.Refusal(err)
	return code == "TRYAGAIN"
}

// remember keeps what stands now. What stood before an announcement without an answer still counts: if it made another one, that is one
// too many.
func (p *Publisher) remember(stream, last, entry string, err error) {
	if err == nil && entry != last {
		p.standing.put(stream, entry)
	}
}
