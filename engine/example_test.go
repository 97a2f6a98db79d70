package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
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

// The usual way: a handler that returns at once. The stream is owned and renewed until the program ends the lease.
func ExampleEngine_Run() {
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
	if _, err := publisher.Publish(context.Background(), "room-7", map[string]string{"lang": "en"}); err != nil {
		panic(err)
	}

	e, err := engine.New(client, "chat")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = e.Run(ctx, api.Funcs{
		Added: func(_ context.Context, n api.Notification) error {
			fmt.Println("own", n.Stream, string(n.Lease.Info()))
			cancel()
			return nil
		},
		Releasing: func(_ context.Context, n api.Notification) error {
			fmt.Println("hand back", n.Stream, n.Lease.Remaining() > 0)
			return nil
		},
	})
	fmt.Println("ended:", err)
	// Output:
	// own room-7 {"lang":"en"}
	// hand back room-7 true
	// ended: <nil>
}

// One function per stream: nil means that the work is done, and the announcement is deleted.
func ExampleEngine_RunEach() {
	option, stop := privateServer()
	defer stop()
	e, err := engine.Open(option, "jobs")
	if err != nil {
		panic(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	publisher, err := engine.NewPublisher(client, "jobs")
	if err != nil {
		panic(err)
	}
	if _, err := publisher.Publish(context.Background(), "job-1", nil); err != nil {
		panic(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	err = e.RunEach(ctx, func(_ context.Context, l api.Lease) error {
		context.AfterFunc(l.Context(), cancel) // one job is enough here
		fmt.Println("work on", l.Stream())
		return nil
	})
	fmt.Println("ended:", err)
	left, _ := client.Do(context.Background(), client.B().Xlen().Key("jobs-input").Build()).AsInt64()
	fmt.Println("announcements left:", left)
	// Output:
	// work on job-1
	// ended: <nil>
	// announcements left: 0
}

// A function that runs until it is stopped makes way when its stream is announced again, here with another Info.
func ExampleEngine_RunEach_superseded() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	e, err := engine.New(client, "monitors")
	if err != nil {
		panic(err)
	}
	publisher, err := engine.NewPublisher(client, "monitors")
	if err != nil {
		panic(err)
	}
	announce := func(every string) {
		if _, err := publisher.Publish(context.Background(), "monitor-1", map[string]string{"every": every}); err != nil {
			panic(err)
		}
	}
	announce("1m")

	ctx, cancel := context.WithCancel(context.Background())
	err = e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
		fmt.Println("watch", string(l.Info()))
		if string(l.Info()) == `{"every":"1m"}` {
			announce("5s") // as somebody does, some day
		} else {
			cancel()
		}
		for {
			select {
			case <-l.Superseded():
				return l.Done(ctx) // with this announcement; the newer one is next
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Minute):
				// probe
			}
		}
	})
	fmt.Println("ended:", err)
	// Output:
	// watch {"every":"1m"}
	// watch {"every":"5s"}
	// ended: <nil>
}
