package engine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// errorName is how many characters of a stream's name an error quotes.
const errorName = 64

// Publisher announces data streams to the consumers of a service. It starts no goroutine and need not be closed. It is safe for
// concurrent use.
type Publisher struct {
	client  rueidis.Client
	layout  *cluster.Layout
	runner  *lease.Runner
	encoder encoder
	clock   lease.Clock
	log     *slog.Logger
	agreed  atomic.Bool  // the service is known to have this publisher's format and number of partitions
	lonely  atomic.Bool  // it was said that no engine has opened the service
	next    atomic.Int64 // when to check that again, on the clock's axis
	lacking lacking      // the rights that its user lacks

	unowned        unowned // announces with OnlyIfUnowned
	lackingUnowned lacking // the rights that its user lacks for that
}

// NewPublisher makes a publisher that uses client, which the caller closes. It sends nothing yet. Errors match
// api.ErrInvalidConfig.
//
// Any name is a service, since a publisher may come before the first engine: announcements wait for it. So that a mistake in the
// name shows all the same, a publisher whose service no engine has opened, or none for 30 days, logs a warning, once (WithLogger).
func NewPublisher(client rueidis.Client, service string, opts ...PublisherOption) (*Publisher, error) {
	if client == nil {
		return nil, invalid("the client of the publisher is nil; make one with rueidis.NewClient")
	}
	var cfg publisherConfig
	for i, o := range opts {
		if o == nil {
			return nil, invalid("option %d of %d is nil; leave it out", i+1, len(opts))
		}
		o.configurePublisher(&cfg)
	}
	cfg.partitions = cmp.Or(cfg.partitions, cluster.DefaultPartitions)
	layout, err := cluster.NewLayout(service, cfg.partitions)
	if err != nil {
		return nil, err
	}
	if err := cfg.limits.Validate(); err != nil {
		return nil, invalid("WithLimits: %w", err)
	}
	p := &Publisher{client: client, layout: layout, runner: lease.NewRunner(client, nil), encoder: encoder{layout, cfg.limits.WithDefaults()},
		clock: lease.NewClock(), log: cmp.Or(cfg.logger, slog.Default())}
	p.unowned = unowned{layout: layout, runner: p.runner}
	return p, nil
}

// Client returns the client that the publisher was made with.
func (p *Publisher) Client() rueidis.Client { return p.client }

// Partitions returns the number of partitions that the publisher was made for.
func (p *Publisher) Partitions() int { return p.layout.Partitions() }

// Check returns the error with which Publish would refuse to announce a stream of this name; nil if it would not. Nothing is sent.
func (p *Publisher) Check(stream string) error {
	_, err := p.encoder.encode(&api.Announcement{Stream: stream})
	return err
}

// Publish announces a data stream, along with info, and returns the ID of the entry. Exactly one consumer of the service will own
// the stream, until Done. info is encoded with encoding/json; json.RawMessage and []byte are taken as JSON; nil means no info.
//
// Nothing is sent twice. So after an error of the connection, or the end of ctx, the announcement may have been made all the same:
// announce again when in doubt. A stream announced twice has one owner at a time; the second announcement is handled when the
// first is done.
//
// Calls check that the service has the same number of partitions as the publisher: all of them until a check has succeeded, then
// one call every 30 s. Errors match api.ErrInvalidStream for a name that is empty, longer than cluster.MaxStreamName, not UTF-8 (an
// announcement is JSON), or a key of the service itself; api.ErrTooLarge beyond WithLimits; api.ErrPartitionMismatch or
// api.ErrFormat if the service is not the one that this publisher was configured for; api.ErrServiceStopped while the service is
// being deleted or repartitioned; api.ErrNoAgreement while the service's record is missing; api.ErrUnsupportedServer and
// api.ErrMissingRights, which names all rights that are missing, as one call found them in the last 30 s (calls that are refused while
// it asks name only their own); or they are those of the client. The text says what to do.
func (p *Publisher) Publish(ctx context.Context, stream string, info any, opts ...PublishOption) (entry string, err error) {
	a := api.Announcement{Stream: stream, Info: info}
	for i, o := range opts {
		if o == nil {
			return "", invalid("option %d of %d of Publish is nil; leave it out", i+1, len(opts))
		}
		o.configureAnnouncement(&a)
	}
	e, err := p.encoder.encode(&a)
	if err != nil {
		return "", announcing(stream, err)
	}
	if err := p.agree(ctx); err != nil {
		return "", err
	}
	if a.OnlyIfUnowned {
		if entry, err = p.unowned.announce(ctx, stream, e); err != nil {
			return "", announcing(stream, p.nameMissingForUnowned(ctx, explainPublish(err)))
		}
		return entry, nil
	}
	entry, err = p.client.Do(ctx, p.command(stream, e)).ToString()
	if err != nil {
		return "", announcing(stream, p.nameMissingRights(ctx, explainPublish(err)))
	}
	return entry, nil
}

// Agree checks what calls that announce check before they send anything: that the service has this publisher's format and number of
// partitions. It is for layers that write data of a service, and asks as rarely as those calls do. Errors are as with Publish.
func (p *Publisher) Agree(ctx context.Context) error { return p.agree(ctx) }

// agree checks that the service is the one that this publisher was configured for: at first, and at an interval. At first,
// concurrent calls may all check, which does no harm; later only one of them does, and a check without an answer changes nothing.
func (p *Publisher) agree(ctx context.Context) error {
	if !p.agreed.Load() {
		found, err := lease.Agreed(ctx, p.runner, p.layout)
		if err != nil {
			return fmt.Errorf("nothing was announced: %w", p.nameMissingRights(ctx, err))
		}
		p.warnIfLonely(&found)
		p.next.Store(p.clock.Now() + int64(agreeEvery))
		p.agreed.Store(true)
		return nil
	}
	now, next := p.clock.Now(), p.next.Load()
	if now < next || !p.next.CompareAndSwap(next, now+int64(agreeEvery)) {
		return nil
	}
	// The record is on one master; if that hangs, announcements on other masters do not wait for it for long.
	asking, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	found, err := lease.Agreed(asking, p.runner, p.layout)
	if err == nil {
		p.warnIfLonely(&found)
	}
	if !lease.Disagrees(err) {
		return nil // if the record is gone, too: engines that know it write it again
	}
	p.agreed.Store(false)
	return fmt.Errorf("nothing was announced: %w", err)
}

// warnIfLonely logs, once, that no engine has opened the service.
func (p *Publisher) warnIfLonely(found *lease.Agreement) {
	if !found.NeverOpen || p.lonely.Swap(true) {
		return
	}
	p.log.Warn("no engine has opened this service yet, or none for 30 days; announcements wait until one does",
		"service", p.layout.Service(), "input", p.layout.Keys(0).Input, "remedy", "start an engine, or check the name of the service")
}

// nameMissingRights adds all missing rights to an error that says that one is.
func (p *Publisher) nameMissingRights(ctx context.Context, err error) error {
	return withMissingRights(ctx, err, func(ctx context.Context) []preflight.Lack {
		return p.lacking.find(ctx, p.clock, func(ctx context.Context) []preflight.Lack {
			return preflight.MissingToPublish(ctx, p.client, preflight.Terms{Layout: p.layout, Timeout: agreeTimeout})
		})
	})
}

// nameMissingForUnowned does the same for an announcement with OnlyIfUnowned.
func (p *Publisher) nameMissingForUnowned(ctx context.Context, err error) error {
	return withMissingRights(ctx, err, func(ctx context.Context) []preflight.Lack {
		return p.lackingUnowned.find(ctx, p.clock, func(ctx context.Context) []preflight.Lack {
			return preflight.MissingToSend(ctx, p.client, preflight.Terms{Layout: p.layout, Timeout: agreeTimeout})
		})
	})
}

// agreeTimeout is how long an announcement waits at most for a check that has succeeded before.
const agreeTimeout = time.Second

// command returns the command that adds an entry to the input stream of the data stream's partition.
func (p *Publisher) command(stream string, fields []string) rueidis.Completed {
	add := p.client.B().Xadd().Key(p.layout.Keys(p.layout.Of(stream)).Input).Id("*").FieldValue()
	for i := 0; i+1 < len(fields); i += 2 {
		add = add.FieldValue(fields[i], fields[i+1])
	}
	return add.Build()
}

// announcing adds to an error which announcement it is about.
func announcing(stream string, err error) error {
	return fmt.Errorf("announcing stream %.*q: %w", errorName, stream, err)
}

// explainPublish adds to an error of the client what to do, and whether the announcement may have been made.
func explainPublish(err error) error {
	if _, refused := lease.Refusal(err); refused {
		return lease.Explain(err)
	}
	return fmt.Errorf("no answer, it may have been announced all the same; announce again: %w", err)
}
