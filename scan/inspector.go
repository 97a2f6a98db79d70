package scan

import (
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
	// DefaultInspectTimeout is far above what a page takes on a busy server: people wait for the answer, no lease does.
	DefaultInspectTimeout = 5 * time.Second
	// DefaultInspectPage keeps a script below a millisecond at the usual size of announcements.
	DefaultInspectPage = 200
	// DefaultCountLimit is up to 30 ms of the server's time, measured at 3 µs an entry on a busy core.
	DefaultCountLimit = 10_000
)

// ErrUnknownService says that nothing of a service is in Redis, so that its number of partitions is not known. Check
// the name and the database, or give the number in InspectorConfig.
var ErrUnknownService = errors.New("scan: no such service in this database")

// InspectorConfig is how an Inspector asks. The zero value means the default in every field.
type InspectorConfig struct {
	// Partitions is the number of partitions of the service. Default and zero: what the service itself says in Redis,
	// which it does from its first engine or publisher of this library on.
	Partitions int

	// Timeout bounds one round trip. Default and zero: 5 s.
	Timeout time.Duration

	// Page is how many entries one script reads or moves. A page is one step for the server, during which it serves
	// nobody else. Default and zero: 200. From 1 to 1,000.
	Page int

	// MaxMove is the most that an entry may weigh to be sent back, or announced again, in bytes and 64 for each field. The
	// server copies 16 MiB in some 70 ms, during which it serves nobody else. Default and zero: 16 MiB, lease.DefaultMaxMove.
	// Negative: no limit.
	MaxMove int

	// CountLimit is how many entries of an input stream are counted for a backlog, at most, where Redis does not
	// know the number; again in one step, which ends where they weigh more than 16 MiB. Default and zero: 10,000. Negative:
	// none.
	CountLimit int
}

func (c InspectorConfig) withDefaults() InspectorConfig {
	orDefault(&c.Timeout, DefaultInspectTimeout)
	orDefault(&c.Page, DefaultInspectPage)
	orDefault(&c.CountLimit, DefaultCountLimit)
	return c
}

// maxInspectPage is below what Lua can unpack into one call.
const maxInspectPage = 1000

func (c InspectorConfig) validate() error {
	switch {
	case c.Timeout < 0:
		return fmt.Errorf("%w: Timeout is %v, must be above 0; leave it out for %v", api.ErrInvalidConfig, c.Timeout, DefaultInspectTimeout)
	case c.Page < 1 || c.Page > maxInspectPage:
		return fmt.Errorf("%w: Page is %d, must be from 1 to %d; leave it out for %d", api.ErrInvalidConfig, c.Page, maxInspectPage, DefaultInspectPage)
	}
	return nil
}

// Inspector looks at a service from outside: dead letters, backlogs, who owns what. It needs a client and the name of
// the service, no running engine; starts nothing, and need not be closed. Only SendBack, Drop, Reannounce, DeleteService and
// Repartition change anything. It may be used from several goroutines.
//
// What it tells is read from masters, in scripts, whatever the client does with reads; a client that is connected to a
// replica gets an error instead of what was true once. Calls make one attempt each, bounded by Timeout; all may be
// repeated. Their errors are those of the client, with what to do about them where that is known.
type Inspector struct {
	service string
	set     InspectorConfig
	client  rueidis.Client
	run     *lease.Runner
	known   atomic.Pointer[cluster.Layout]
}

// NewInspector makes an inspector on a client that stays the caller's. Nothing is sent yet. Errors match
// api.ErrInvalidConfig.
func NewInspector(client rueidis.Client, service string, c InspectorConfig) (*Inspector, error) {
	if client == nil {
		return nil, fmt.Errorf("%w: the client of the inspector is nil; make one with rueidis.NewClient", api.ErrInvalidConfig)
	}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	partitions := c.Partitions
	orDefault(&partitions, cluster.DefaultPartitions) // checks the name, even if the number is yet to be asked for
	layout, err := cluster.NewLayout(service, partitions)
	if err != nil {
		return nil, err
	}
	i := &Inspector{service: service, set: c, client: client, run: lease.NewRunner(client, nil)}
	if c.Partitions != 0 {
		i.known.Store(layout)
	}
	return i, nil
}

// Partitions is the number of partitions of the service. Errors match ErrUnknownService or api.ErrFormat, or are those
// of the client.
func (i *Inspector) Partitions(ctx context.Context) (int, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return 0, err
	}
	return layout.Partitions(), nil
}

// layout is that of the service, asked for once.
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

// agreement reads what is on record, and the operation that is under way.
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

// call runs a script on a partition and returns its answer of at least n parts.
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

// explained says what was being done, and what to do about the error.
func explained(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("scan: %s: %w", doing, lease.Explain(err))
}
