package balance_test

import (
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
)

// Three processes share 9,000 streams, and one of them has twice the weight of the others. How much is each to hold, and how many more
// may one of the small ones take that holds 1,900?
func Example() {
	seen := []balance.Part{ // what beats answered about two partitions
		{Total: 4600, Weight: 4, Least: 2100},
		{Total: 4400, Weight: 4, Least: 2100},
	}
	small := balance.ShareOf(1, seen)
	great := balance.ShareOf(2, seen)
	fmt.Println(small.Fair, great.Fair)
	fmt.Println(small.Even, small.Room(1900), small.Room(2400))
	// Output:
	// 2250 4500
	// true 464 0
}

// For engine.WithBalance: streams move slowly.
func ExampleConfig() {
	c := balance.Config{Budget: 50}
	fmt.Println(c.Validate())
	c = c.WithDefaults()
	fmt.Println(c.Gate, c.Shed, c.Budget)

	err := balance.Config{Budget: -1}.Validate()
	fmt.Println(errors.Is(err, api.ErrInvalidConfig))
	// Output:
	// <nil>
	// on on 50
	// true
}
