package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// store is everything that the engine asks of Redis about leases and sessions. redisStore is the real one; tests of timing replace
// it. Each call is one attempt with a timeout, and may be repeated.
type store interface {
	Agree(ctx context.Context) error
	Confirm(ctx context.Context) error
	Legacy(ctx context.Context, p int) (alive string, err error)
	Open(ctx context.Context, p int, consumer string, floor api.Token) (lease.Beat, error)
	Beat(ctx context.Context, p int, consumer string, alone bool) (lease.Beat, error)
	Renew(ctx context.Context, p int, consumer string, floor api.Token, batches [][]*lease.Lease, saves []lease.Savings,
		out []lease.Renewal) []lease.Renewal
	Extend(ctx context.Context, consumer string, leases []*lease.Lease) []lease.Verdict
	Verify(ctx context.Context, p int, consumer string, leases []*lease.Lease, saves lease.Savings) (lease.Verified, error)
	Read(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]lease.Entry, error)
	Acquire(ctx context.Context, p int, consumer string, entries []*lease.Entry) (lease.Status, []lease.Take, error)
	ReadOn(ctx context.Context, p int, consumer string, count, bytes int, patience time.Duration) (entries []lease.Entry, more bool, err error)
	Forward(ctx context.Context, consumer string, entries []*lease.Entry, again bool) ([]lease.Outcome, error)
	Whole(ctx context.Context, e *lease.Entry) (whole lease.Entry, ok bool, err error)
	Pending(ctx context.Context, p int, consumer, after string, count int, idle time.Duration) ([]lease.PendingEntry, error)
	Done(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error)
	Requeue(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error)
	Shut(ctx context.Context, p int, consumer string, l *lease.Lease, open bool) (verdict lease.Verdict, mark string, err error)
	PendingIDs(ctx context.Context, p int, consumer, after string, count int) (lease.IDPage, error)
	Keep(ctx context.Context, p int, consumer string, items []lease.Keepable) (lease.Status, []lease.Outcome, error)
	Restore(ctx context.Context, p int, consumer string, items []lease.Restorable) ([]lease.Outcome, error)
	Attend(ctx context.Context, p int, consumer string) (pending int, err error)
	SaveCheckpoints(ctx context.Context, p int, consumer string, number uint64, items []lease.Saving) (verdicts string, err error)
	SaveCheckpointsAlone(ctx context.Context, p int, consumer string, number uint64, items []lease.Saving) []lease.Verdict
	CheckpointsAllowed(ctx context.Context, p int) error
	Promote(ctx context.Context, p, limit int) (lease.Promotion, error)
	Signals(ctx context.Context, p int, position string, count int) (lease.SignalPage, error)
	Close(ctx context.Context, p int, consumer string) (left int, err error)
	Leave(ctx context.Context, p int, consumer string) error
	// With returns the same store with other TTLs and another timeout.
	With(t lease.Terms) store
}

// redisStore is lease.Store with the type of With that store needs.
type redisStore struct{ *lease.Store }

func (s redisStore) With(t lease.Terms) store { return redisStore{s.Store.With(t)} }

var _ store = redisStore{}
