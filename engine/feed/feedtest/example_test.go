package feedtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/feedtest"
)

// A handler that adds up the amounts of a stream, and keeps the sum with the position.
func sum(_ context.Context, b *feed.Batch) error {
	total := 0
	fmt.Sscan(b.State(), &total)
	for _, m := range b.Messages {
		var amount int
		text, _ := m.Get("amount")
		if _, err := fmt.Sscan(text, &amount); err != nil {
			return feed.At(m.ID, errors.New("no amount"))
		}
		total += amount
	}
	return b.SaveState(fmt.Sprint(total))
}

// Messages are handled, the stream is handed back, and the next owner goes on.
func Example() {
	f := feedtest.New(sum, feed.Config{})
	defer f.Close()

	f.AddID("account:7", "1-0", feed.Field{Name: "amount", Value: "5"})
	f.AddID("account:7", "2-0", feed.Field{Name: "amount", Value: "7"})
	first := f.Own("account:7")
	for first.Position() != "2-0" {
		time.Sleep(time.Millisecond) // in a bubble of testing/synctest: synctest.Wait()
	}
	first.Release()
	<-first.Ended()
	fmt.Println(first.Lease.Outcome().State, first.State())

	f.AddID("account:7", "3-0", feed.Field{Name: "amount", Value: "many"})
	next := f.Own("account:7")
	<-next.Ended()
	fmt.Println(next.Lease.Outcome().State, next.Err())
	// Output:
	// HandedBack 12
	// Failed feed: after message 2-0: message 3-0: no amount
}
