package migrating

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/feed"
)

// What follows is in docs/migrating-consumer-groups.md as well; a test compares them.

// handleLeft makes a handler of messages that passes over what a consumer group, which nobody reads from any more, has handled, and
// acknowledges the rest in the group as it is handled.
func handleLeft(client rueidis.Client, group string, handle func(ctx context.Context, stream string, m feed.Message) error) feed.Handler {
	return func(ctx context.Context, b *feed.Batch) error {
		stream := b.Lease.Stream()
		messages, err := left(ctx, client, group, b)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := handle(ctx, stream, m); err != nil {
				return err
			}
			if err := client.Do(ctx, client.B().Xack().Key(stream).Group(group).Id(m.ID).Build()).Error(); err != nil {
				return err
			}
		}
		return nil
	}
}

// left returns the messages of a batch that a group has not handled: those that are pending in it, and those that it has not delivered
// to anybody. Without such a group that is all of them.
func left(ctx context.Context, client rueidis.Client, group string, b *feed.Batch) (all []feed.Message, err error) {
	stream := b.Lease.Stream()
	groups, err := client.Do(ctx, client.B().XinfoGroups().Key(stream).Build()).ToArray()
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		fields, err := g.AsStrMap()
		if err != nil {
			return nil, err
		}
		if fields["name"] != group {
			continue
		}
		first, last := b.Messages[0].ID, b.Messages[len(b.Messages)-1].ID
		rows, err := client.Do(ctx, client.B().Xpending().Key(stream).Group(group).Start(first).End(last).Count(int64(len(b.Messages))).Build()).ToArray()
		if err != nil {
			return nil, err
		}
		pending := make(map[string]bool)
		for _, row := range rows {
			columns, err := row.ToArray()
			if err != nil {
				return nil, err
			}
			id, err := columns[0].ToString()
			if err != nil {
				return nil, err
			}
			pending[id] = true
		}
		for _, m := range b.Messages {
			if after(m.ID, fields["last-delivered-id"]) || pending[m.ID] {
				all = append(all, m)
			}
		}
		return all, nil
	}
	return b.Messages, nil
}

// after reports whether one ID of a stream is greater than another.
func after(id, other string) bool {
	var ms, seq, otherMs, otherSeq uint64
	_, _ = fmt.Sscanf(id+" "+other, "%d-%d %d-%d", &ms, &seq, &otherMs, &otherSeq) // both are from Redis
	return ms > otherMs || ms == otherMs && seq > otherSeq
}
