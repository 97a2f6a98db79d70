package feed_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/feedtest"
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
	send := func(m []feed.Message, done func(error)) { // as a client does that calls back
		go func() {
			fmt.Println("sent", len(m))
			done(feed.Finish) // nil: handled; an error: the messages come again; Finish: handled, and it was the last batch
		}()
	}
	handler := func(_ context.Context, b *feed.Batch) error {
		p := b.Keep()
		send(b.Messages, p.Retry)
		return nil
	}

	f := feedtest.New(handler, feed.Config{}) // what feed.New makes, without Redis
	defer f.Close()
	f.Add("mail:7", feed.Field{Name: "to", Value: "ada"})
	f.Add("mail:7", feed.Field{Name: "to", Value: "bob"})
	stream := f.Own("mail:7")
	<-stream.Ended()
	fmt.Println(stream.Lease.Outcome().State)
	// Output:
	// sent 2
	// Done
}

// State that is folded from the messages is stored together with the position. So the next owner finds exactly what belongs to the
// messages that it does not get again.
func ExampleBatch_SaveState() {
	handler := func(_ context.Context, b *feed.Batch) error {
		total := 0
		fmt.Sscan(b.State(), &total) // "" at first
		for _, m := range b.Messages {
			if m.Fields[0].Name == "close" {
				fmt.Println("closed at", total)
				return feed.Finish
			}
			amount := 0
			text, _ := m.Get("amount")
			if _, err := fmt.Sscan(text, &amount); err != nil {
				return feed.At(m.ID, err) // no retry helps
			}
			total += amount
		}
		return b.SaveState(fmt.Sprint(total))
	}

	f := feedtest.New(handler, feed.Config{MaxBatch: 1})
	defer f.Close()
	for _, amount := range []string{"5", "7", "-2"} {
		f.Add("account:7", feed.Field{Name: "amount", Value: amount})
	}
	f.Add("account:7", feed.Field{Name: "close"})
	<-f.Own("account:7").Ended()
	// Output: closed at 10
}

// A message that cannot be handled is passed over, and kept elsewhere first.
func ExampleConfig() {
	handler := func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			text, _ := m.Get("text")
			if text == "" {
				return feed.At(m.ID, errors.New("no text"))
			}
			fmt.Println("handled", text)
			if text == "bye" {
				return feed.Finish
			}
		}
		return nil
	}
	config := feed.Config{
		Mode:      feed.Tracking, // Run fails where servers refuse CLIENT TRACKING, in place of polling
		OnFailure: feed.Skip,
		OnSkip: func(_ context.Context, l api.Lease, m feed.Message, err error) error {
			fmt.Println("skip in", l.Stream()+":", err)
			return nil
		},
		OnStop: func(l api.Lease, why error) {
			fmt.Println("stop", l.Stream()+":", why) // nil: it is done
		},
	}

	f := feedtest.New(handler, config) // what feed.New makes, without Redis
	defer f.Close()
	for i, text := range []string{"hello", "", "bye"} {
		f.AddID("room:7", fmt.Sprintf("%d-0", i+1), feed.Field{Name: "text", Value: text})
	}
	<-f.Own("room:7").Ended()
	// Output:
	// handled hello
	// skip in room:7: message 2-0: no text
	// handled bye
	// stop room:7: <nil>
}
