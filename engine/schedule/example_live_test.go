package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/servers"
)

// privateServer stands for the Redis that a program has anyway.
func privateServer() (rueidis.Client, func()) {
	server, err := servers.Start(context.Background(), servers.Options{})
	if err != nil {
		panic(err)
	}
	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		panic(err)
	}
	return client, func() {
		client.Close()
		_ = server.Stop()
	}
}

// What is there already and has not changed is left as it is, so that each deploy may put everything. One spec that cannot be put holds
// up no other.
func ExampleTable_Put() {
	client, stop := privateServer()
	defer stop()
	table, err := schedule.NewTable(client, "monitors")
	if err != nil {
		panic(err)
	}

	ctx := context.Background()
	put := func(specs ...schedule.Spec) {
		results, err := table.Put(ctx, specs...)
		for _, r := range results {
			fmt.Println(r.Name, r.Outcome)
		}
		if errors.Is(err, schedule.ErrSpec) {
			fmt.Println("a spec is out of range") // the message says which, and what to do
		}
	}
	put(schedule.Spec{Name: "front page", Every: 30 * time.Second})
	put(schedule.Spec{Name: "front page", Every: 30 * time.Second}, schedule.Spec{Name: "report", Cron: "30 2 * * *"})
	put(schedule.Spec{Name: "front page", Every: time.Minute}, schedule.Spec{Name: "never", Every: time.Millisecond})

	status, err := table.Get(ctx, "front page")
	fmt.Println(status.Spec.Every, err)
	_, err = table.Get(ctx, "back page")
	fmt.Println(errors.Is(err, schedule.ErrNoSchedule))
	// Output:
	// front page created
	// front page unchanged
	// report created
	// front page edited
	// never failed
	// a spec is out of range
	// 1m0s <nil>
	// true
}

// A process owns a schedule and fires its ticks, until it is interrupted.
func ExampleRunner_Run() {
	client, stop := privateServer()
	defer stop()
	table, err := schedule.NewTable(client, "monitors")
	if err != nil {
		panic(err)
	}
	spec := schedule.Spec{Name: "front page", Every: 100 * time.Millisecond, Info: map[string]string{"url": "https://example.org/"}}
	if _, err := table.Put(context.Background(), spec); err != nil {
		panic(err)
	}

	e, err := engine.New(client, "monitors")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := schedule.New(e, func(o schedule.Owned) (schedule.Task, error) {
		info, err := schedule.DecodeInfo[map[string]string](o.Spec)
		return schedule.TaskFunc(func(_ context.Context, t *schedule.Tick) error {
			if t.Number == 1 {
				fmt.Println("look at", info["url"])
				cancel() // one tick is enough here
			}
			return nil
		}), err
	}, schedule.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println("ended:", r.Run(ctx))
	// Output:
	// look at https://example.org/
	// ended: <nil>
}
