package main

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
)

// proof checks the server and the journals of the processes.
type proof struct {
	client   rueidis.Client
	keys     *cluster.Keys
	group    string
	process  *process
	streams  int
	producer producer.Producer
}

// oneOwner checks by the journals of both processes that no stream ever had two owners, and that each later owner of a stream has a greater
// token than the one before.
func (p *proof) oneOwner(out *screen, other *journal.Journal) error {
	var records []overlap.Record
	last := make(map[string]string) // party
	for _, j := range []*journal.Journal{other, p.process.journal} {
		for _, e := range j.Read() {
			records = append(records, e.Record)
			last[e.Stream] = e.Party
		}
	}
	if err := overlap.Check(records); err != nil {
		return err
	}
	for stream, party := range last {
		if party != p.process.journal.Party() {
			return fmt.Errorf("the last owner of stream %s was %s", stream, party)
		}
	}
	if len(last) != p.streams {
		return fmt.Errorf("%d streams were owned, want %d", len(last), p.streams)
	}
	out.say("No stream ever had two owners: the journals of both processes show %s ownerships of %s streams, none at the same "+
		"time as another of its stream, each later one under a greater token.", report.Grouped(len(records)), report.Grouped(len(last)))
	return nil
}

// nothingLost checks that every stream is held, also according to the server.
func (p *proof) nothingLost(ctx context.Context, out *screen) error {
	if err := p.process.owner.err(); err != nil {
		return err
	}
	onServer := 0
	for from := 0; from < p.streams; from += 500 {
		var gets rueidis.Commands
		var want []string
		for i := from; i < min(from+500, p.streams); i++ {
			stream := p.producer.Stream(i)
			l, held := p.process.engine.Lease(stream)
			if !held {
				return fmt.Errorf("stream %s is not held", stream)
			}
			want = append(want, fmt.Sprintf("%s %d %s", p.process.engine.ID(), l.Token(), l.Entry()))
			gets = append(gets, p.client.B().Get().Key(p.keys.Lease(stream)).Build())
		}
		for i, result := range p.client.DoMulti(ctx, gets...) {
			value, err := result.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
			if value != want[i] {
				return fmt.Errorf("the lease of %s on the server is %q, not %q", p.producer.Stream(from+i), value, want[i])
			}
			onServer++
		}
	}
	out.say("Nothing is lost: %s of %s are held, %s lease keys on the server name this process and its tokens, "+
		"%s were disowned.",
		report.Grouped(p.process.engine.Stats().Held), report.Grouped(p.streams), report.Grouped(onServer), report.Grouped(p.process.owner.disowned.Load()))
	return nil
}

// allHandedBack checks that the streams wait for the next consumer as if nobody had owned them.
func (p *proof) allHandedBack(ctx context.Context) error {
	if err := p.process.owner.err(); err != nil {
		return err
	}
	if n := p.process.owner.handed.Load(); n != int64(p.streams) {
		return fmt.Errorf("%d of %d streams were released with notice", n, p.streams)
	}
	waiting, err := p.client.Do(ctx, p.client.B().Xlen().Key(p.keys.Input).Build()).AsInt64()
	if err != nil {
		return err
	}
	pending, err := p.client.Do(ctx, p.client.B().Xpending().Key(p.keys.Input).Group(p.group).Build()).ToArray()
	if err != nil {
		return err
	}
	n, err := pending[0].AsInt64()
	if err != nil {
		return err
	}
	if waiting != int64(p.streams) || n != 0 {
		return fmt.Errorf("%d announcements wait and %d are pending, want %d and 0", waiting, n, p.streams)
	}
	for i := range p.streams {
		if _, held := p.process.engine.Lease(p.producer.Stream(i)); held {
			return fmt.Errorf("stream %s is still held", p.producer.Stream(i))
		}
	}
	left, err := p.client.Do(ctx, p.client.B().Eval().
		Script("local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 10000) c = r[1] n = n + #r[2] until c == '0' return n").
		Numkeys(0).Arg(p.keys.LeasePrefix()+"*").Build()).AsInt64()
	if err != nil {
		return err
	}
	if left != 0 {
		return fmt.Errorf("%d lease keys are left on the server", left)
	}
	return nil
}
