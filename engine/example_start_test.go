package engine_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
)

// Notifications come through a channel. Terminated is the last one, and says how the engine ended.
func ExampleEngine_Start() {
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
	if _, err := publisher.Publish(context.Background(), "room-7", nil); err != nil {
		panic(err)
	}
	e, err := engine.New(client, "chat")
	if err != nil {
		panic(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	notifications, err := e.Start(ctx)
	if err != nil {
		panic(err)
	}
	for n := range notifications {
		switch n.Kind {
		case api.Added:
			fmt.Println("own", n.Stream)
			cancel() // as when the process is told to end
		case api.Releasing:
			fmt.Println("hand back", n.Stream, n.Lease.Release(context.Background()))
		case api.Terminated:
			fmt.Println("ended:", n.Err)
		}
	}
	// Output:
	// own room-7
	// hand back room-7 <nil>
	// ended: <nil>
}

// How far the owner of a stream has come is kept beside the lease, and the next owner goes on from there.
func ExampleEngine_RunEach_checkpoint() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	publisher, err := engine.NewPublisher(client, "imports")
	if err != nil {
		panic(err)
	}
	if _, err := publisher.Publish(context.Background(), "file-1", nil); err != nil {
		panic(err)
	}
	e, err := engine.New(client, "imports")
	if err != nil {
		panic(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	err = e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
		fmt.Printf("begin after line %q\n", l.Checkpoint())
		if l.Checkpoint() == "" {
			l.SetCheckpoint("1000")
			return l.Release(ctx) // stored in the same step
		}
		cancel()
		return l.Done(ctx)
	})
	fmt.Println("ended:", err)
	// Output:
	// begin after line ""
	// begin after line "1000"
	// ended: <nil>
}

// Options that contradict each other are an error at once, which says what to do.
func ExampleOpen() {
	_, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "chat",
		engine.WithLeaseTTL(5*time.Second), engine.WithSessionTTL(10*time.Second))
	fmt.Println(errors.Is(err, api.ErrInvalidConfig))
	fmt.Println(err)
	// Output:
	// true
	// streamlease: invalid configuration: WithSessionTTL: 10s is above the lease TTL, 5s, but a lease must outlive settling, which lasts a session TTL; use at most 5s, or WithLeaseTTL(10s)
}

// Before a deployment: may this user do all that the engine needs, on servers that it can work with?
func ExamplePreflight() {
	option, stop := privateServer()
	defer stop()
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()

	report, err := engine.Preflight(context.Background(), client, "chat")
	if err != nil {
		panic(err)
	}
	fmt.Println("can start:", report.Err() == nil)
	for _, finding := range report.Of(preflight.Rights) {
		fmt.Println(finding) // what is missing, and the command that grants it
	}
	// report.String() has all findings, for a log.

	// Output: can start: true
}
