package preflight_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// A user of Redis that may publish by hand and do nothing else, and what an engine finds out with it.
func Example() {
	server, err := servers.Start(context.Background(), servers.Options{})
	if err != nil {
		panic(err)
	}
	defer server.Stop()
	admin, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		panic(err)
	}
	defer admin.Close()

	ctx := context.Background()
	rules := preflight.ProducerRules("chat", 1)
	fmt.Println(strings.Join(rules, " "))
	setUser := admin.B().Arbitrary("ACL", "SETUSER", "producer", "on", ">secret", "resetchannels").Args(rules...).Build()
	if err := admin.Do(ctx, setUser).Error(); err != nil {
		panic(err)
	}

	option := server.ClientOption()
	option.Username, option.Password = "producer", "secret"
	client, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	report, err := engine.Preflight(ctx, client, "chat")
	if err != nil {
		panic(err)
	}
	fmt.Println("an engine works with it:", report.Err() == nil)
	worst := report.Of(preflight.Rights)[0] // its Do has what grants the right
	fmt.Println(worst.Subject, worst.Severity)
	// Output:
	// ~chat-input +ping +xadd +cluster|slots +cluster|shards
	// an engine works with it: false
	// rights fatal
}
