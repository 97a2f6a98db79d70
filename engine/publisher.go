package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

const (
	// publishChunk and publishBytes bound what PublishMany has in flight at once: fewer commands than the client's ring takes,
	// which is 1,024, and few enough bytes for a chunk to take some milliseconds.
	publishChunk = 512
	publishBytes = 1 << 20

	// publishErrors is how many errors PublishMany lists.
	publishErrors = 10
	// errorName is how many characters of a stream's name an error quotes.
	errorName = 64
)

// Publisher announces data streams to the consumers of a service. It starts no goroutine and need not be closed. It is safe for
// concurrent use.
type Publisher struct {
	client  rueidis.Client
	layout  *cluster.Layout
	runner  *lease.Runner
	limits  lease.Limits
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
	p := &Publisher{client: client, layout: layout, runner: lease.NewRunner(client, nil), limits: cfg.limits.WithDefaults(),
		clock: lease.NewClock(), log: cmp.Or(cfg.logger, slog.Default())}
	p.unowned = unowned{layout: layout, runner: p.runner}
	return p, nil
}

// Client returns the client that the publisher was made with.
func (p *Publisher) Client() rueidis.Client { return p.client }

// Check returns the error with which Publish would refuse to announce a stream of this name; nil if it would not. Nothing is sent.
func (p *Publisher) Check(stream string) error {
	_, err := p.encode(&api.Announcement{Stream: stream})
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
	e, err := p.encode(&a)
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

// PublishMany announces data streams as Publish does, many in one round trip. The entry IDs are in the order of the items; "" means
// that the announcement is not confirmed: it was refused, or failed, or was not sent (or, with OnlyIfUnowned, that the stream is owned). err lists the first 10 of those and counts
// the others; it is nil if all are confirmed. A bad item does not keep the others from being announced. If Redis confirms none of
// a chunk of items, or ctx ends, the rest is not sent.
func (p *Publisher) PublishMany(ctx context.Context, items ...api.Announcement) (entries []string, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	entries = make([]string, len(items))
	if err := p.agree(ctx); err != nil {
		return entries, err
	}
	var failed failures
	for next := 0; next < len(items); {
		chunk := p.cutChunk(items, &next, &failed)
		if len(chunk) == 0 || p.send(ctx, chunk, entries, &failed) {
			continue
		}
		if rest := len(items) - next; rest > 0 {
			failed.addLast(fmt.Errorf("%d announcements were not sent after that; announce them again", rest))
		}
		break
	}
	return entries, failed.err()
}

// chunked is an encoded item of PublishMany.
type chunked struct {
	encoded
	index   int  // in items and entries
	unowned bool // OnlyIfUnowned
}

// cutChunk encodes as many items, from next on, as are sent together, and advances next past them. Those that cannot be encoded are
// added to failed.
func (p *Publisher) cutChunk(items []api.Announcement, next *int, failed *failures) []chunked {
	var chunk []chunked
	for size := 0; *next < len(items) && len(chunk) < publishChunk && size < publishBytes; *next++ {
		a := &items[*next]
		fields, err := p.encode(a)
		if err != nil {
			failed.add(*next, a.Stream, err)
			continue
		}
		size += len(fields[1])
		chunk = append(chunk, chunked{encoded: encoded{a.Stream, fields}, index: *next, unowned: a.OnlyIfUnowned})
	}
	return chunk
}

// send announces a chunk, each of its two kinds in one pipeline for each server. It reports whether any of it was confirmed.
func (p *Publisher) send(ctx context.Context, chunk []chunked, entries []string, failed *failures) (confirmed bool) {
	at := slices.IndexFunc(chunk, func(x chunked) bool { return x.unowned })
	if at < 0 {
		return p.sendAll(ctx, chunk, p.announceMany, entries, failed)
	}
	var plain, unowned []chunked
	for _, x := range chunk {
		if x.unowned {
			unowned = append(unowned, x)
		} else {
			plain = append(plain, x)
		}
	}
	confirmed = len(plain) > 0 && p.sendAll(ctx, plain, p.announceMany, entries, failed)
	return p.sendAll(ctx, unowned, p.unowned.announceMany, entries, failed) || confirmed
}

// sendAll announces items by one kind of call.
func (p *Publisher) sendAll(ctx context.Context, chunk []chunked, announce func(context.Context, []encoded) ([]string, []error),
	entries []string, failed *failures) (confirmed bool) {
	items := make([]encoded, len(chunk))
	for i := range chunk {
		items[i] = chunk[i].encoded
	}
	made, errs := announce(ctx, items)
	for i, x := range chunk {
		if errs[i] != nil {
			failed.add(x.index, x.stream, explainPublish(errs[i]))
			continue
		}
		entries[x.index], confirmed = made[i], true
	}
	return confirmed
}

// announceMany adds entries.
func (p *Publisher) announceMany(ctx context.Context, chunk []encoded) (entries []string, errs []error) {
	commands := make(rueidis.Commands, len(chunk))
	for i, x := range chunk {
		commands[i] = p.command(x.stream, x.fields)
	}
	entries, errs = make([]string, len(chunk)), make([]error, len(chunk))
	for i, result := range p.client.DoMulti(ctx, commands...) {
		entries[i], errs[i] = result.ToString()
	}
	return entries, errs
}

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

// encode returns the fields of an announcement's entry: names and values in turn, the announcement first.
func (p *Publisher) encode(a *api.Announcement) ([]string, error) {
	if err := cluster.ValidateStream(a.Stream); err != nil {
		return nil, err
	}
	if p.layout.Owns(a.Stream) {
		return nil, fmt.Errorf("%w: it is a key of service %s itself, which whoever deletes the data stream would delete; use another name",
			api.ErrInvalidStream, p.layout.Service())
	}
	if !utf8.ValidString(a.Stream) {
		return nil, fmt.Errorf("%w: it is not UTF-8, which the JSON of an announcement has to be; use another name", api.ErrInvalidStream)
	}
	if a.OnlyIfUnowned && !a.NotBefore.IsZero() {
		return nil, invalid("OnlyIfUnowned and WithNotBefore do not go together: the announcement would wait where it is not found")
	}
	info, err := encodeInfo(a.Info)
	if err != nil {
		return nil, err
	}
	text, err := lease.EncodeAnnouncement(a.Stream, info)
	if err != nil {
		return nil, err
	}
	if err := p.checkSize(a.Stream, info, text); err != nil {
		return nil, err
	}
	fields := []string{lease.FieldAnnouncement, text}
	// Rounded up, so that it is never too early. A time before 1970 has passed by any clock.
	if ms := a.NotBefore.Add(time.Millisecond - 1).UnixMilli(); !a.NotBefore.IsZero() && ms > 0 {
		if err := lease.CheckNotBefore(ms, time.Now()); err != nil {
			return nil, fmt.Errorf("not before %v, which is %d ms since 1970: %w", a.NotBefore, ms, err)
		}
		fields = append(fields, lease.FieldNotBefore, strconv.FormatInt(ms, 10))
	}
	return fields, nil
}

// checkSize checks an announcement against the limits, as readers see it: Info as encoded may be shorter than info, since spaces
// are left out, or longer, since '<' is escaped.
func (p *Publisher) checkSize(stream string, info json.RawMessage, text string) error {
	size := 0
	if info != nil {
		bare, err := lease.EncodeAnnouncement(stream, nil)
		if err != nil {
			return err
		}
		size = len(text) - len(bare) - len(`,"Info":`)
	}
	const fields = 2 // as with WithNotBefore
	return p.limits.CheckSizes(len(stream), size, len(text), fields, len(text)+fields*lease.FieldWeight)
}

// encodeInfo returns info as JSON, nil if there is none.
func encodeInfo(info any) (json.RawMessage, error) {
	var text json.RawMessage
	switch x := info.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		text = x
	case []byte:
		text = x
	default:
		var err error
		err = guard.Call(func() (err error) { text, err = json.Marshal(info); return err })
		var panicked *api.PanicError
		if errors.As(err, &panicked) {
			return nil, fmt.Errorf("info of type %T: encoding it panicked: %v", info, panicked.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("info of type %T has no JSON form: %w", info, err)
		}
	}
	switch {
	case text == nil:
		return nil, nil
	case !json.Valid(text):
		return nil, fmt.Errorf("info %.40q is not JSON; give a value that encoding/json can encode, or valid JSON", text)
	case !utf8.Valid(text):
		return nil, fmt.Errorf("info %.40q is not UTF-8, which JSON has to be", text)
	}
	return text, nil
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

// failures collects the errors of many announcements, in bounded space.
type failures struct {
	listed []error
	more   int   // failed and are not listed
	last   error // listed however many there are; nil: none
}

func (f *failures) add(index int, stream string, err error) {
	if len(f.listed) == publishErrors {
		f.more++
		return
	}
	f.listed = append(f.listed, fmt.Errorf("item %d: %w", index, announcing(stream, err)))
}

// addLast adds an error that is listed however many there are, after the others.
func (f *failures) addLast(err error) { f.last = err }

func (f *failures) err() error {
	all := f.listed
	if f.more > 0 {
		all = append(all, fmt.Errorf("%d more failed; those not confirmed have no entry", f.more))
	}
	return errors.Join(append(all, f.last)...)
}
