package leasetest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
)

// mailer is the code under test: a handler that sends what was announced and
// then ends the lease.
type mailer struct{ sent []string }

func (m *mailer) Handle(ctx context.Context, n api.Notification) error {
	if n.Kind != api.Added {
		return nil
	}
	mail, err := api.DecodeInfo[struct{ To string }](n.Lease)
	if err != nil {
		return err
	}
	if mail.To == "" {
		return api.Permanent(errors.New("no address"))
	}
	m.sent = append(m.sent, mail.To)
	return n.Lease.Done(ctx)
}

func Example() {
	ctx := context.Background()
	handler := &mailer{}

	good := leasetest.New("mail:1", leasetest.WithInfo(map[string]string{"To": "ada@example.org"}))
	leasetest.Notify(ctx, handler, api.Added, good)
	fmt.Println(good.Outcome().State, handler.sent)

	bad := leasetest.New("mail:2")
	leasetest.Notify(ctx, handler, api.Added, bad)
	fmt.Println(bad.Outcome().State, api.IsPermanent(bad.Outcome().Cause))
	// Output:
	// Done [ada@example.org]
	// Failed true
}

// What happens to work in progress when its stream is lost.
func ExampleLease_Lose() {
	lease := leasetest.New("orders:7")
	work := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}

	lease.Lose(api.ErrSessionLost)
	fmt.Println(work(lease.Context()))
	fmt.Println(lease.Done(context.Background()))
	// Output:
	// streamlease: session lost
	// streamlease: lease not held: streamlease: session lost
}

// A function for RunEach that runs until it is stopped, and makes way when its
// stream is announced again.
func ExampleLease_Supersede() {
	work := func(ctx context.Context, l api.Lease) error {
		for {
			select {
			case <-l.Superseded():
				return nil // done with this announcement; the newer one is next
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
				// look for something to do
			}
		}
	}

	lease := leasetest.New("orders:7")
	lease.Supersede()
	fmt.Println(work(lease.Context(), lease))
	// Output: <nil>
}
