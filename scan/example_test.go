package scan_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/scan"
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

// A look at a service from outside: what waits, and where one stream stands. The example of package engine has dead letters.
func ExampleInspector() {
	client, stop := privateServer()
	defer stop()
	ctx := context.Background()
	announce := client.B().Xadd().Key("chat-input").Id("*").FieldValue().FieldValue("lbs-input", `{"DataStreamName":"room-7"}`).Build()
	if err := client.Do(ctx, announce).Error(); err != nil { // as a producer without this library does
		panic(err)
	}

	// No engine has opened the service yet, so its number of partitions is not on record.
	inspector, err := scan.NewInspector(client, "chat", scan.InspectorConfig{Partitions: 1})
	if err != nil {
		panic(err)
	}
	backlogs, err := inspector.Backlog(ctx)
	if err != nil {
		panic(err)
	}
	for _, b := range backlogs {
		fmt.Println("partition", b.Partition, "waiting", b.Lag, "exact", b.LagBy.Exact(), "dead letters", b.DeadLetters)
	}
	story, err := inspector.Story(ctx, "room-7")
	if err != nil {
		panic(err)
	}
	fmt.Println(story.State, story.Ownership.Consumer == "") // story.Why says in words what that means
	// Output:
	// partition 0 waiting 1 exact true dead letters 0
	// waiting true
}

// A typing error in the name of a service is found out.
func ExampleErrUnknownService() {
	client, stop := privateServer()
	defer stop()
	inspector, err := scan.NewInspector(client, "caht", scan.InspectorConfig{})
	if err != nil {
		panic(err)
	}
	_, err = inspector.Backlog(context.Background())
	fmt.Println(errors.Is(err, scan.ErrUnknownService))
	// Output: true
}

// More patience with streams that fail than by default, for engine.WithRecovery.
func ExampleConfig() {
	c := scan.Config{MaxRetries: 8, MaxRetryDelay: time.Hour}
	fmt.Println(c.Validate())
	c = c.WithDefaults()
	fmt.Println(c.MaxRetries, c.RetryDelay, c.MaxRetryDelay, c.MaxCrashes)
	fmt.Println(scan.Config{RetryDelay: time.Hour, MaxRetryDelay: time.Minute}.Validate() != nil)
	// Output:
	// <nil>
	// 8 1s 1h0m0s 10
	// true
}
