package api_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
)

func ExampleFuncs() {
	work := func(ctx context.Context, l api.Lease) { /* until ctx ends */ }
	handler := api.Funcs{
		Added: func(ctx context.Context, n api.Notification) error {
			fmt.Println("start work on", n.Stream, "under token", n.Token)
			go work(ctx, n.Lease) // ctx ends with the lease
			return nil            // kept and renewed until it ends
		},
		Releasing: func(ctx context.Context, n api.Notification) error {
			fmt.Println("save the position in", n.Stream)
			return nil // handed back after this
		},
		Disowned: func(_ context.Context, n api.Notification) error {
			fmt.Println("drop", n.Stream)
			return nil
		},
	}

	// What an engine does, without one.
	ctx := context.Background()
	lease := leasetest.New("orders:7", leasetest.WithToken(41))
	leasetest.Notify(ctx, handler, api.Added, lease)
	leasetest.Notify(ctx, handler, api.Superseded, lease) // no func: ignored
	leasetest.Notify(ctx, handler, api.Releasing, lease)
	// Output:
	// start work on orders:7 under token 41
	// save the position in orders:7
}

func ExampleDecodeInfo() {
	type customer struct {
		Name string
		Tier int
	}
	handler := api.Funcs{
		Added: func(_ context.Context, n api.Notification) error {
			c, err := api.DecodeInfo[customer](n.Lease)
			if err != nil {
				return err // permanent: dead-lettered
			}
			fmt.Println(n.Stream, "is", c.Name, "of tier", c.Tier)
			return nil
		},
	}

	ctx := context.Background()
	leasetest.Notify(ctx, handler, api.Added, leasetest.New("clicks:1", leasetest.WithInfo(customer{"Ada", 2})))

	unreadable := leasetest.New("clicks:2", leasetest.WithInfo("neither name nor tier"))
	err := leasetest.Notify(ctx, handler, api.Added, unreadable)
	fmt.Println("permanent:", api.IsPermanent(err))
	// Output:
	// clicks:1 is Ada of tier 2
	// permanent: true
}

func ExamplePermanent() {
	errUnknownCustomer := errors.New("unknown customer")
	handler := api.Funcs{
		Added: func(context.Context, api.Notification) error {
			return fmt.Errorf("look up the customer: %w", api.Permanent(errUnknownCustomer))
		},
	}

	err := leasetest.Notify(context.Background(), handler, api.Added, leasetest.New("orders:7"))
	fmt.Println(err)
	fmt.Println("dead-lettered at once:", api.IsPermanent(err))
	fmt.Println("still recognised:", errors.Is(err, errUnknownCustomer))
	// Output:
	// look up the customer: unknown customer
	// dead-lettered at once: true
	// still recognised: true
}

func ExampleSnooze() {
	handler := api.Funcs{
		Added: func(_ context.Context, n api.Notification) error {
			return api.Snooze(10 * time.Minute) // the shop is closed
		},
	}

	err := leasetest.Notify(context.Background(), handler, api.Added, leasetest.New("orders:7"))
	if delay, ok := api.SnoozeDelay(err); ok {
		fmt.Println("handed out again in", delay)
	}
	// Output: handed out again in 10m0s
}

// account is a store that fences: it keeps the token of its owner beside the
// data. Each method is one atomic step, as a script in Redis or a statement in
// SQL is.
type account struct {
	fence   api.Token
	balance int
}

var errFenced = errors.New("a later owner was here")

// Begin is the first thing that a new owner does: it raises the fence, and
// reads after that. So no late write of an earlier owner can come in between.
func (a *account) Begin(owner api.Token) (balance int, err error) {
	if owner < a.fence {
		return 0, errFenced
	}
	a.fence = owner
	return a.balance, nil
}

func (a *account) Write(owner api.Token, balance int) error {
	if owner != a.fence {
		return errFenced
	}
	a.balance = balance
	return nil
}

// The fence is raised before anything is read, the lease is checked before each
// effect that must not happen twice, and the token is sent with the effect.
func ExampleLease() {
	store := &account{balance: 100}
	add := func(lease api.Lease, read, amount int) error {
		if lease.Remaining() < time.Second {
			return context.Cause(lease.Context())
		}
		return store.Write(lease.Token(), read+amount)
	}

	first := leasetest.New("orders:7", leasetest.WithToken(41))
	read, _ := store.Begin(first.Token())
	fmt.Println(add(first, read, 1), store.balance)

	// The first owner checks its lease, stands still, and wakes up when another
	// one has begun. Its write is refused, and not overwritten later.
	second := leasetest.New("orders:7", leasetest.WithToken(42))
	reread, _ := store.Begin(second.Token())
	fmt.Println(store.Write(first.Token(), read+2))
	fmt.Println(add(second, reread, 10), store.balance)

	second.Lose(nil)
	if err := add(second, reread, 20); errors.Is(err, api.ErrLeaseLost) {
		fmt.Println("no longer ours")
	}
	// Output:
	// <nil> 101
	// a later owner was here
	// <nil> 111
	// no longer ours
}
