package feed_test

import (
	"context"
	"database/sql"
	"log"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

// A process that reads all streams that it owns until its context ends.
func Example() {
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "orders")
	if err != nil {
		log.Fatal(err)
	}
	f, err := feed.New(e, func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			log.Println(b.Lease.Stream(), m.ID, m.Fields)
		}
		return nil
	}, feed.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// Effects in a database that happen once: a row has the token, and the ID of the last message as two numbers, by which IDs compare. A
// message that comes again, or an owner that was replaced, changes nothing.
func ExampleBatch() {
	var db *sql.DB
	handler := func(ctx context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			amount, _ := m.Get("amount")
			ms, seq, _ := strings.Cut(m.ID, "-")
			_, err := db.ExecContext(ctx, `UPDATE accounts SET balance = balance + $1, token = $2, ms = $3, seq = $4
				WHERE stream = $5 AND token <= $2 AND (ms, seq) < ($3, $4)`, amount, int64(b.Lease.Token()), ms, seq, b.Lease.Stream())
			if err != nil {
				return err
			}
		}
		return nil
	}
	_ = handler
}

// Work that waits takes no worker: the handler returns, and the batch ends when the work does.
func ExampleBatch_Keep() {
	var send func(ctx context.Context, m []feed.Message, done func(error))
	handler := func(ctx context.Context, b *feed.Batch) error {
		p := b.Keep()
		send(ctx, b.Messages, p.Retry) // nil: handled; an error: once more
		return nil
	}
	_ = handler
}
