package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Defaults of InspectorConfig.
const (
	// DefaultInspectTimeout is far above what a page takes on a busy server: a person waits for the answer, no lease does.
	DefaultInspectTimeout = 5 * time.Second
	// DefaultInspectPage keeps a script below 1 ms at the usual size of announcements.
	DefaultInspectPage = 200
	// DefaultCountLimit is up to 30 ms of the server's time, measured at 3 µs an entry on a busy core.
	DefaultCountLimit = 10_000
)

// ErrUnknownService means that Redis has nothing of a service, so its number of partitions is unknown. Check the name and the
// database, or set the number in InspectorConfig.
var ErrUnknownService = errors.New("scan: no such service in this database")

// InspectorConfig configures the calls of an Inspector. The zero value means the default in every field.
type InspectorConfig struct {
	// Partitions is the number of partitions of the service. Default and zero: the number that the service has on record in
	// Redis, where its first engine or publisher of this library puts it. From 1 to 1024.
	Partitions int

	// Timeout bounds one round trip. Default and zero: 5 s. From 1 ns.
	Timeout time.Duration

	// Page is how many entries one script reads or moves. The server handles a page in one step, during which it serves nobody
	// else. Default and zero: 200. From 1 to 1,000.
	Page int

	// MaxMove is the greatest weight of an entry that is sent back or reannounced, in bytes plus 64 for each field. The server
	// copies 16 MiB in some 70 ms, during which it serves nobody else. Default and zero: 16 MiB, lease.DefaultMaxMove.
	// NoLimit: whatever its weight. From 1.
	MaxMove int

	// CountLimit is the greatest number of entries of an input stream that are counted for a backlog where Redis does not know
	// the number. They are counted in one step, too, which ends where they weigh more than 16 MiB. Default and zero: 10,000.
	// NoCount, or negative: none are counted. NoLimit: only the weight limits it.
	CountLimit int
}

func (c InspectorConfig) withDefaults() InspectorConfig {
	c.Timeout = cmp.Or(c.Timeout, DefaultInspectTimeout)
	c.Page = cmp.Or(c.Page, DefaultInspectPage)
	c.CountLimit = cmp.Or(c.CountLimit, DefaultCountLimit)
	return c
}

// maxInspectPage is below the number of values that Lua can unpack into one call.
const maxInspectPage = 1000

func (c InspectorConfig) validate() error {
	switch {
	case c.Timeout < 0:
		return fmt.Errorf("%w: Timeout is %v, must be above 0; leave it out for %v", api.ErrInvalidConfig, c.Timeout, DefaultInspectTimeout)
	case c.Page < 1 || c.Page > maxInspectPage:
		return fmt.Errorf("%w: Page is %d, must be from 1 to %d; leave it out for %d", api.ErrInvalidConfig, c.Page, maxInspectPage, DefaultInspectPage)
	case c.MaxMove < 0:
		return fmt.Errorf("%w: MaxMove is %d, must be above 0; leave it out for %d, or use scan.NoLimit", api.ErrInvalidConfig, c.MaxMove, lease.DefaultMaxMove)
	}
	return nil
}

// Inspector looks at a service from outside: dead letters, backlogs, who owns what. It needs a client and the name of the
// service, but no running engine. It starts nothing and need not be closed. Only SendBack, Drop, Reannounce, BringForward,
// CancelDelayed, Ask, Withdraw, DeleteService and Repartition change anything. It is safe for concurrent use.
//
// It reads from masters, in scripts, wherever the client sends its reads; a client that is connected to a replica gets an error
// instead of stale answers. Each call makes one attempt, bounded by Timeout, and may be repeated. Errors are those of the
// client, with what to do about them where that is known.
type Inspector struct {
	service string
	set     InspectorConfig
	client  rueidis.Client
	run     *lease.Runner
	known   atomic.Pointer[cluster.Layout]
}

// NewInspector returns an inspector on a client that stays the caller's. It sends nothing yet. Errors match
// api.ErrInvalidConfig.
func NewInspector(client rueidis.Client, service string, c InspectorConfig) (*Inspector, error) {
	if client == nil {
		return nil, fmt.Errorf("%w: the client of the inspector is nil; make one with rueidis.NewClient", api.ErrInvalidConfig)
	}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	// This checks the name even while the number is unknown.
	layout, err := cluster.NewLayout(service, cmp.Or(c.Partitions, cluster.DefaultPartitions))
	if err != nil {
		return nil, err
	}
	i := &Inspector{service: service, set: c, client: client, run: lease.NewRunner(client, nil)}
	if c.Partitions != 0 {
		i.known.Store(layout)
	}
	return i, nil
}

// Partitions returns the number of partitions of the service. Errors match ErrUnknownService or api.ErrFormat, or are those
// of the client.
func (i *Inspector) Partitions(ctx context.Context) (int, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return 0, err
	}
	return layout.Partitions(), nil
}

// layout returns the layout of the service, which is read once.
func (i *Inspector) layout(ctx context.Context) (*cluster.Layout, error) {
	if l := i.known.Load(); l != nil {
		return l, nil
	}
	one, err := cluster.NewLayout(i.service, cluster.DefaultPartitions)
	if err != nil {
		return nil, err
	}
	a, _, err := i.agreement(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Stopped(i.service); err != nil {
		return nil, err
	}
	format, text := a.Format, a.Partitions
	if format == "" && text == "" {
		return nil, fmt.Errorf("%w: service %s has no %s", ErrUnknownService, i.service, one.Meta())
	}
	if format != strconv.Itoa(lease.FormatVersion) {
		return nil, fmt.Errorf("%w: service %s has %q in %s, this version knows %d", api.ErrFormat, i.service, format, one.Meta(), lease.FormatVersion)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%w: service %s has %q partitions in %s", api.ErrFormat, i.service, text, one.Meta())
	}
	layout, err := cluster.NewLayout(i.service, n)
	if err != nil {
		return nil, fmt.Errorf("%w: in %s: %w", api.ErrFormat, one.Meta(), err)
	}
	i.known.Store(layout)
	return layout, nil
}

// agreement reads the record of the service, and the ID of the operation that is under way.
func (i *Inspector) agreement(ctx context.Context) (a lease.Agreement, operation string, err error) {
	one, err := cluster.NewLayout(i.service, cluster.DefaultPartitions)
	if err != nil {
		return a, "", err
	}
	parts, err := i.call(ctx, lease.Call{Script: scriptLayout, Keys: []string{one.Meta()}}, 6)
	if err != nil {
		return a, "", explained("reading the layout of service "+i.service, err)
	}
	operation, _ = parts[5].ToString()
	return lease.ParseAgreement(parts), operation, nil
}

func (i *Inspector) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, i.set.Timeout)
}

// eachPartition makes one call per partition and returns the parsed answers, in the order of the partitions. What fails is
// missing, and the error says why.
func eachPartition[T any](ctx context.Context, i *Inspector, what string, call func(layout *cluster.Layout, p int) lease.Call,
	parse func(p int, result rueidis.RedisResult) ([]T, error)) (all []T, err error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	calls := make([]lease.Call, layout.Partitions())
	for p := range calls {
		calls[p] = call(layout, p)
	}
	var failed failures
	for p, result := range i.run.DoMulti(ctx, calls) {
		some, err := parse(p, result)
		if err != nil {
			failed.add(explained(fmt.Sprintf("%s of partition %d", what, p), err))
			continue
		}
		all = append(all, some...)
	}
	return all, failed.err()
}

// call runs a script and returns its answer, which must have at least n parts.
func (i *Inspector) call(ctx context.Context, c lease.Call, n int) ([]rueidis.RedisMessage, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	parts, err := i.run.Do(ctx, c).ToArray()
	if err == nil && len(parts) < n {
		err = errMalformed
	}
	return parts, err
}

var errMalformed = errors.New("malformed answer")

func orMalformed(err error) error {
	if err == nil {
		return errMalformed
	}
	return err
}

// explained adds to an error what was being done, and what to do about it.
func explained(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("scan: %s: %w", doing, lease.Explain(err))
}

// textOf returns the n-th part of an answer as a text; empty when there is none.
func textOf(parts []rueidis.RedisMessage, n int) string {
	if n >= len(parts) {
		return ""
	}
	if value, err := parts[n].AsInt64(); err == nil {
		return strconv.FormatInt(value, 10)
	}
	text, _ := parts[n].ToString()
	return text
}
