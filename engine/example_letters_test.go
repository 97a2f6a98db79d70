package engine_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

// A handler fails a stream for good. An inspector shows who owns what and which announcements were dead-lettered, and sends them
// back once the fault is fixed.
func Example_deadLetters() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	ctx := context.Background()
	publisher, err := engine.NewPublisher(client, "chat")
	if err != nil {
		panic(err)
	}
	if _, err := publisher.Publish(ctx, "room-7", nil); err != nil {
		panic(err)
	}

	e, err := engine.New(client, "chat")
	if err != nil {
		panic(err)
	}
	fixed := false
	owned := make(chan api.Lease, 1)
	go func() {
		_ = e.Run(ctx, api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			if !fixed {
				fixed = true
				return api.Permanent(errors.New("no such room"))
			}
			owned <- n.Lease
			return nil
		}})
	}()

	inspector, err := scan.NewInspector(client, "chat", scan.InspectorConfig{})
	if err != nil {
		panic(err)
	}
	for found := false; !found; {
		for letter, err := range inspector.Letters(ctx, scan.Selection{Reason: "permanent"}) {
			if err != nil {
				panic(err)
			}
			fmt.Println(letter.Stream, letter.Reason)
			found = true
		}
	}
	if _, err := inspector.SendBack(ctx, scan.Selection{Stream: "room-7"}); err != nil {
		panic(err)
	}

	l := <-owned
	owner, err := inspector.Owner(ctx, "room-7")
	if err != nil {
		panic(err)
	}
	fmt.Println("owned by us:", owner.Consumer == e.ID(), owner.Token == l.Token(), owner.Session.State)
	if err := l.Done(ctx); err != nil {
		panic(err)
	}
	if err := e.Shutdown(ctx); err != nil {
		panic(err)
	}
	// Output:
	// room-7 permanent: no such room
	// owned by us: true true alive
}
