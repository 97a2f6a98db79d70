package engine_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

// A producer announces a stream, one for later, and one only if nobody owns it or is about to: the announcement from before still
// waits for an owner here, so it stands for the stream, and none is added.
func ExamplePublisher_Publish() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	publisher, err := engine.NewPublisher(client, "chat")
	if err != nil {
		panic(err)
	}

	ctx := context.Background()
	info := map[string]string{"lang": "en"}
	if _, err := publisher.Publish(ctx, "room-7", info); err != nil {
		panic(err)
	}
	if _, err := publisher.Publish(ctx, "room-8", info, engine.WithNotBefore(time.Now().Add(time.Hour))); err != nil {
		panic(err)
	}
	first, err := publisher.Publish(ctx, "room-9", nil, engine.OnlyIfUnowned())
	if err != nil {
		panic(err)
	}
	again, err := publisher.Publish(ctx, "room-9", nil, engine.OnlyIfUnowned())
	fmt.Println("still the first:", again == first, err)

	_, err = publisher.Publish(ctx, "", nil)
	fmt.Println("refused:", errors.Is(err, api.ErrInvalidStream))
	// Output:
	// still the first: true <nil>
	// refused: true
}

// Many announcements in one round trip. One that is refused does not keep the others from being made.
func ExamplePublisher_PublishMany() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	publisher, err := engine.NewPublisher(client, "jobs")
	if err != nil {
		panic(err)
	}

	items := []api.Announcement{
		{Stream: "job-1", Info: map[string]int{"size": 10}},
		{Stream: ""},
		{Stream: "job-3", NotBefore: time.Now().Add(time.Minute)},
	}
	entries, err := publisher.PublishMany(context.Background(), items...)
	for i, entry := range entries {
		fmt.Printf("%q announced: %v\n", items[i].Stream, entry != "")
	}
	fmt.Println("one has no valid name:", errors.Is(err, api.ErrInvalidStream))
	// Output:
	// "job-1" announced: true
	// "" announced: false
	// "job-3" announced: true
	// one has no valid name: true
}
