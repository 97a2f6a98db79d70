package feed_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// privateServer stands for the Redis that a program has anyway.
func privateServer() (rueidis.ClientOption, func()) {
	server, err := servers.Start(context.Background(), servers.Options{})
	if err != nil {
		panic(err)
	}
	return server.ClientOption(), func() { _ = server.Stop() }
}

// newSender makes a sender on a client of its own.
func newSender(option rueidis.ClientOption, service string) (*feed.Sender, rueidis.Client) {
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	publisher, err := engine.NewPublisher(client, service)
	if err != nil {
		panic(err)
	}
	return feed.NewSender(publisher), client
}

// A producer sends, and a process that owns the stream gets the messages in order, until one says that it was the last.
func ExampleNew() {
	option, stop := privateServer()
	defer stop()
	sender, client := newSender(option, "orders")
	defer client.Close()
	for _, text := range []string{"begin", "add", "end"} {
		if _, err := sender.Send(context.Background(), "order:7", feed.Field{Name: "do", Value: text}); err != nil {
			panic(err)
		}
	}

	e, err := engine.Open(option, "orders")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := feed.New(e, func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			text, _ := m.Get("do")
			fmt.Println(b.Lease.Stream(), text)
			if text == "end" {
				return feed.Finish // the stream is done
			}
		}
		return nil
	}, feed.Config{OnStop: func(api.Lease, error) { cancel() }}) // one stream is enough here
	if err != nil {
		panic(err)
	}
	fmt.Println("ended:", f.Run(ctx))
	// Output:
	// order:7 begin
	// order:7 add
	// order:7 end
	// ended: <nil>
}

// What the errors of Send ask for. Both messages are in the stream; it is announced once, since the announcement still waits for an
// owner when the second one comes.
func ExampleSender_Send() {
	option, stop := privateServer()
	defer stop()
	sender, client := newSender(option, "orders")
	defer client.Close()

	ctx := context.Background()
	for _, text := range []string{"begin", "add"} {
		_, err := sender.Send(ctx, "order:7", feed.Field{Name: "do", Value: text})
		switch {
		case errors.Is(err, feed.ErrMaybeAdded):
			// It may be there: send it again only if a repeat does no harm.
		case errors.Is(err, feed.ErrNotAnnounced):
			// It is there: do not send it again, but announce the stream until that succeeds.
		case err != nil:
			// It is not there.
		}
	}
	for _, key := range []string{"order:7", "orders-input"} {
		n, err := client.Do(ctx, client.B().Xlen().Key(key).Build()).AsInt64()
		fmt.Println(key, n, err)
	}
	// Output:
	// order:7 2 <nil>
	// orders-input 1 <nil>
}
