package engine

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/wheel"
)

// Option configures an [Engine]. Only the With functions of this package make options. If an option is given twice, the last one
// counts. One rule holds for all options, and for all fields of the structs that they take:
//
//   - Zero is the default: 0, "", nil, false, the zero time, a struct of zeros. So an option may be set from a flag that was not
//     given. Zero never means "none".
//   - None, where that makes sense, is a negative number, and has a name: scan.NoRetries, scan.NoCrashes, scan.NoCount, NoStreams.
//     Everywhere else a negative number is an error.
//   - No limit, where there is a limit by default and may be none, is scan.NoLimit. WithMaxStreams has no limit by default.
//   - An option without an argument turns on what is off by default. An option takes a bool only where the default is true. Fields
//     that are bools are false by default.
//   - What is out of range, or contradicts another option, makes [New], [Open] or [NewPublisher] fail with an error that matches
//     api.ErrInvalidConfig and names the option, the value and the fix.
type Option interface{ configure(*config) }

// PublisherOption configures a [Publisher].
type PublisherOption interface{ configurePublisher(*publisherConfig) }

// SharedOption is an option of engines and publishers, which must agree on it.
type SharedOption interface {
	Option
	PublisherOption
}

// PublishOption configures one announcement.
type PublishOption interface{ configureAnnouncement(*api.Announcement) }

// publisherConfig is the result of all options of a publisher.
type publisherConfig struct {
	partitions int
	limits     lease.Limits
	logger     *slog.Logger // nil: none was given
}

type option func(*config)

func (o option) configure(c *config) { o(c) }

type publishOption func(*api.Announcement)

func (o publishOption) configureAnnouncement(a *api.Announcement) { o(a) }

// WithConsumerID names this process in Redis, in logs and for others: 1 to 200 letters, digits, '.', '_', '-' and ':', not
// beginning with "redis-consumer-". It need not be unique, since every run adds a random suffix, but people will search for it.
// Nothing follows from two runs having the same ID, neither that the earlier one has ended nor that they are one process: only
// WithLockFile proves that. Default and "": the environment variable POD_NAME, else POD_IP, else the host name, with '-' for
// characters that are not allowed.
func WithConsumerID(id string) Option {
	return option(func(c *config) { c.consumerID = id })
}

// WithLockFile lets a process that was killed take its own streams again at once when it comes back, instead of after the session
// TTL. It names a file, which the engine locks for as long as it runs (flock) and writes its name into. The kernel releases the
// lock when the process is gone, and not while it is stopped, cut off or hanging. So whoever gets the lock knows that the runs
// which the file names have ended, and that nobody believes in their leases any more; it ends their sessions and recovers what
// they held, as after any crash (api.EventPredecessorEnded).
//
// Give each engine a file of its own, in a folder that lasts as long as the next run is on the same host: a folder of the service
// on a local disk, or an emptyDir volume of a pod, which outlives its containers. The folder must exist, and the file must be
// writable by nobody else. While another run has the lock, the start waits for up to the drain timeout, and then fails with
// api.ErrLockHeld. A file that could prove nothing (a network file system, another system than Linux) makes the start fail; one
// that proves nothing this time (the volume was moved, the host rebooted, the file is a copy or cannot be read) costs nothing but
// the session TTL, and neither does a full disk; the log says so.
//
// The proof is about the process. What the process had sent may still be on its way, to Redis or elsewhere: Redis refuses it, and
// elsewhere the token fences it. Work that the process gave to other processes goes on without it: if they do not end with it, do
// not use this option. Default and "": none.
func WithLockFile(path string) Option {
	return option(func(c *config) { c.lockFile = path })
}

type withPartitions int

func (n withPartitions) configure(c *config)                   { c.partitions = int(n) }
func (n withPartitions) configurePublisher(c *publisherConfig) { c.partitions = int(n) }

// WithPartitions sets the number of input streams of the service, each in a slot of its own on a Redis Cluster. It is fixed while a
// service runs: an engine or publisher with another number than the first one fails with api.ErrPartitionMismatch.
// scan.Inspector.Repartition changes the number of a stopped service. Use one on a single server, and a few for each master on a
// cluster. Default and zero: 1. From 1 to 1024.
func WithPartitions(n int) SharedOption { return withPartitions(n) }

// Limits bounds the size of an announcement.
type Limits = lease.Limits

type withLimits Limits

func (l withLimits) configure(c *config)                   { c.limits = Limits(l) }
func (l withLimits) configurePublisher(c *publisherConfig) { c.limits = Limits(l) }

// WithLimits bounds the size of an announcement: its name, its Info, the number of its fields, and the whole entry. A publisher
// refuses an announcement over a limit, with an error that matches api.ErrTooLarge; an engine dead-letters it, with the class
// too_large, without having read more of it than it needs. All members of a service should have the same limits: raise them in
// engines first, lower them in publishers first. Zero fields get their defaults: names of 64 KiB, Info of 1 MiB, 1,000 fields,
// 16 MiB in all.
func WithLimits(l Limits) SharedOption { return withLimits(l) }

// WithLeaseTTL sets how long a lease lasts in Redis without being renewed. It is renewed three times per TTL, so the TTL sets the
// load: 10,000 streams with the default are 1,000 extensions a second, in about ten scripts. It is also the longest that a stream
// of a dead process waits if nobody recovers it. How soon the death of a process is noticed depends on WithSessionTTL. Default and
// zero: 30 s. From 500 ms to 24 h.
func WithLeaseTTL(ttl time.Duration) Option {
	return option(func(c *config) { c.leaseTTL = ttl })
}

// WithSessionTTL sets how long a process may be silent before the others take over its streams. Beats are sent five times per TTL,
// and at least every second. A shorter TTL makes failover faster, but it must outlast a pause of the process, a hitch of the
// network and, if streams are to survive it, a failover of Redis. Default and zero: 10 s, on a Redis Cluster 20 s, because a
// failover with the default cluster-node-timeout takes 15 s; never more than the lease TTL. From 500 ms to the lease TTL.
func WithSessionTTL(ttl time.Duration) Option {
	return option(func(c *config) { c.sessionTTL = ttl })
}

// WithDrainTimeout sets how long a shutdown lasts at most, from the call of Shutdown, or the end of Run's context, until Run has
// returned, whatever hangs: handlers, Redis, hooks, the close of connections. What ends early leaves its time to what follows:
//
//	handlers return          what the other two leave, then their contexts end     with 20 s and 10,000 streams: 16 s
//	streams are handed back  a quarter of the timeout, up to 2 s, and 1 s for      3 s
//	                         every 10,000 streams that are left, in all at most
//	                         half of the timeout
//	the end                  a 20th of the timeout, up to 1 s: Terminated, hooks,  1 s
//	                         connections
//
// Streams whose handlers have not returned are handed back without them. What could not be handed back is recovered by others when
// the session has ended, and Run returns api.ErrDrainTimeout; what hangs goes on by itself. One process has handed back 10,000
// streams a second on a busy machine and 35,000 on an idle one, to a server nearby; bench size measures it on yours.
//
// Keep it below the time after which the process is killed: the default is below the 30 s of Kubernetes. Default and zero: 20 s.
// From 100 ms to 24 h. To stop sooner, once, give Shutdown a context that ends.
func WithDrainTimeout(d time.Duration) Option {
	return option(func(c *config) { c.drainTimeout = d })
}

// WithWheel sets the resolution and the shape of the timer wheel that keeps the times of renewals and deadlines. Few need it. Zero
// fields get the defaults of package wheel, but Tick is a 20th of the session TTL if that is below 100 ms. Tick must not exceed
// the time between two beats, and 2 ticks + 50 ms must be below a third of the session TTL.
func WithWheel(w wheel.Config) Option {
	return option(func(c *config) { c.wheel = w })
}

// WithPipeline sets how calls are sent to Redis: the size of batches, how many are in flight at once, and how long to wait for an
// answer. Zero fields get their defaults. Timeout, if given, must be at least 10 ms, and must fit between a beat and the session's
// deadline, and between a renewal and the lease's.
func WithPipeline(p lease.Pipeline) Option {
	return option(func(c *config) { c.pipeline = p })
}

// WithWorkers sets how many notifications, of different streams, are handled at a time. Handlers that return at once need few
// workers; handlers that block need one for each that may block at a time. It does not limit RunEach, which has a goroutine for
// each stream. Default and zero: 16. From 1 to 10,000.
func WithWorkers(n int) Option {
	return option(func(c *config) { c.workers = n })
}

// WithMaxStreams limits how many streams this process holds, if its share is greater than that; at the limit it stops reading, and the
// others share the rest. Set
// it to what you measured (docs/sizing.md): without a limit, a process stops only when its renewals are late (IntakeStopped).
// SetMaxStreams changes it while the engine runs. Default and zero: no limit. NoStreams, or negative: none, so the process
// only stands by.
func WithMaxStreams(n int) Option {
	return option(func(c *config) { c.maxStreams = n })
}

// WithBalance sets how the streams of a service are spread over its processes. By default each holds its share, without any setting: it
// reads no more announcements than it has room for, and what is held too much is handed back slowly, to those who have too little. The
// owner of such a stream gets api.Releasing with api.ErrRebalanced. docs/balance.md says how shares are computed, and when streams
// move. Zero fields get their defaults.
func WithBalance(b balance.Config) Option {
	return option(func(c *config) { c.balance = b })
}

// WithWeight sets how much of a service's streams this process is to hold, compared with the others: one of weight 2 gets twice as many
// as one of weight 1. Use it where processes are not equal, in cores or in memory. SetWeight changes it while the engine runs. Default
// and zero: 1. From 0.01 to 1,000; what is less than a thousandth apart counts as equal.
func WithWeight(w float64) Option {
	return option(func(c *config) { c.weight = w })
}

// WithReadBatch sets how many announcements are read at once from a partition, as far as this process's share has room for them. With a
// greater number, a process that takes over many streams reads in fewer, larger steps. Default and zero: 1,000. From 1 to 10,000.
func WithReadBatch(n int) Option {
	return option(func(c *config) { c.readBatch = n })
}

// WithMaxParked limits how many announcements of streams that are held, here or elsewhere, this process keeps in memory, to take
// each stream as soon as it is free. What exceeds the limit waits in Redis and comes back later. Default and zero: 10,000. At
// least 1.
func WithMaxParked(n int) Option {
	return option(func(c *config) { c.maxParked = n })
}

// WithReadMemory limits the bytes of announcements that this process holds besides those of the streams that it owns: one half for those
// that were read and have no place yet, over all partitions, the other half for those that are parked (WithMaxParked).
//
// The first half counts an announcement from when it is read until its lease is acquired or it is parked, or, if it is postponed,
// requeued or dead-lettered, until Redis has done that. Where this half is full, nothing more is read. Each partition has an equal
// share of half of it, whatever the others hold; the rest is for those that need it, but the partitions of one master never take
// more of the rest than they leave. So a server that grants no leases, or refuses to move what is bad, stops no other
// (IntakeClogged). Redis delivers announcements by number, not by size. So each partition may hold more than that: the
// announcement that a read waits for, up to eight if small ones were expected, and a page that a comparison takes in.
//
// What exceeds the second half waits in Redis. Info of streams that this process owns, or has lost, is not counted: WithMaxStreams
// bounds that. Default and zero: 64 MiB, or four times the longest announcement that WithLimits allows, if that is more. At least
// 8 MiB, and at least twice the longest announcement.
func WithReadMemory(bytes int) Option {
	return option(func(c *config) { c.readMemory = bytes })
}

// WithRecovery sets how often to scan for what dead processes left, and what happens to streams that fail. Zero fields get their
// defaults.
func WithRecovery(r scan.Config) Option {
	return option(func(c *config) { c.recovery = r })
}

// WithCluster sets how changes of the topology of a Redis Cluster are found. Zero fields get their defaults.
func WithCluster(cfg cluster.Config) Option {
	return option(func(c *config) { c.cluster = cfg })
}

// WithBreaker sets when work that can wait is kept off a server that does not answer, and for how long: reading, forwarding and
// recovery, for all partitions of that master together (api.EventReadsPaused). Beats and renewals are never kept off, and the first
// that is answered ends it, so the figures decide how many calls a server gets that is down, or answers only some calls, and not
// how soon work goes on. Zero fields get their defaults: Failures 5, Wait 10 s, Trials 1.
func WithBreaker(cfg breaker.Config) Option {
	return option(func(c *config) { c.breaker = cfg })
}

// WithMaintenance sets whether and how servers are asked to announce their maintenance, as Redis Software and Redis Cloud do. While
// an announced maintenance lasts, sessions and leases get longer TTLs, calls get longer timeouts, and no process is recovered, for
// up to twice MaxWindow in total; afterwards everything is renewed. A server that does not support it is asked once, on a separate
// connection.
//
// The engine has to make that connection itself. [Open] can, and [New] can with WithDial. With [New] alone, the default mode asks
// no server, and notice.On is an error. On a server that announces maintenance, settling lasts longer by MaxWindow. Zero fields
// get their defaults.
func WithMaintenance(cfg notice.Config) Option {
	return option(func(c *config) { c.notices = cfg })
}

// WithRenewalClient sets a client for beats and renewals only, so that nothing else that the program sends to Redis can hold them
// up. The caller closes it after the engine has ended. Default and nil: with [Open] a client of the engine's own, with [New] one
// made as WithDial says, otherwise the client given to New.
func WithRenewalClient(client rueidis.Client) Option {
	return option(func(c *config) { c.renewalClient = client })
}

// WithDial sets the options of connections that the engine makes itself, for renewals and for maintenance notices. It is for [New],
// which cannot read the options of the client that it is given; [Open] knows them. InitAddress must not be empty, unless all of it
// is. Default and the zero value: none, everything goes over the client given.
func WithDial(opt rueidis.ClientOption) Option {
	return option(func(c *config) {
		c.dial = &opt
		if reflect.ValueOf(opt).IsZero() {
			c.dial = nil
		}
	})
}

// WithExpired asks for api.Expired notifications, for Run and Start: hints that the lease of another process ended. They come only
// if the servers report expired keys (notify-keyspace-events with x and E, or with x and K), which WithKeyspaceEvents sets where
// the engine is allowed to; if they do not, the log says so once. A hint may be minutes late, since servers expire keys lazily. It
// may come twice, or not at all: before a subscription was made or renewed (api.EventHintsMissed says when), while handlers are
// behind, and if the streams of a dead process were recovered before their leases ended, as they mostly are. The engine does not
// need hints, so it does nothing about missed ones.
//
// Hints hold up nothing, however many there are and however slow their handler is; anybody who may PUBLISH can forge them. They
// have goroutines of their own, besides WithWorkers: one for every eight workers, and at least one. Up to 256 hints wait for them;
// more are dropped and counted. So a handler may get Expired while another notification of the same stream is being handled.
//
// With K, and neither g nor $, servers send the fewest messages. Default: no hints.
func WithExpired() Option {
	return option(func(c *config) { c.expired = true })
}

// WithKeyspaceEvents allows the engine to make the servers report expired keys, for WithExpired: it adds K, E and x, as far as they
// are missing, to notify-keyspace-events, in memory only (CONFIG SET). It removes nothing, and does not undo that at the end. If
// CONFIG is refused, the engine logs that once and goes on without. Default: nothing is set.
func WithKeyspaceEvents() Option {
	return option(func(c *config) { c.setEvents = true })
}

// WithSettle sets whether to wait before taking streams that look free after a failover or restart of Redis.
//
// WithSettle(false) takes streams that look free at once after a failover or restart of Redis, instead of waiting for a session TTL
// until those who hold them have renewed their leases. That gives up the guarantee of one owner across a failover in exchange for
// availability. It also needs neither INFO nor CLUSTER MYID, for access rules that refuse both. The whole fleet must use the same
// value. Default: true.
func WithSettle(settle bool) Option {
	return option(func(c *config) { c.settle = settle })
}

// WithForeignConsumers starts the engine although consumers of another library are alive on the same input stream. Otherwise that
// fails with api.ErrForeignConsumers: the two libraries do not respect each other's leases, so a stream may have two owners. Use
// it if you know that those consumers are gone. Default: refuse.
func WithForeignConsumers() Option {
	return option(func(c *config) { c.legacy = true })
}

// WithRegisterer sets where metrics are registered. Engines with the same registerer share the metrics: two engines of one service
// show their sums. The gauges of an engine are removed when it has ended, and all series of a service when its last engine there has:
// one that is started later counts from zero. If the registerer returns an error, New does, too. Default and nil: metrics are not
// registered.
func WithRegisterer(r prometheus.Registerer) Option {
	return option(func(c *config) { c.registerer = r })
}

type withLogger struct{ to *slog.Logger }

func (l withLogger) configure(c *config)                   { c.logger = l.to }
func (l withLogger) configurePublisher(c *publisherConfig) { c.logger = l.to }

// WithLogger sets the logger of an engine or a publisher. A publisher logs one line at most: that no engine has opened the service.
//
// An engine logs errors that need a person, warnings, and at the level of info one line for its start, its end and each dead
// consumer that it takes over from; what else happens to sessions, partitions and servers is at the level of debug, and nothing
// is logged for each stream. Messages are constants, so they can be searched for, and keys are single words. Repeated
// messages are summed up every ten seconds, so the number of lines does not grow with the number of streams. An engine calls the
// log handler on a goroutine of its own, so one that blocks or panics holds up nothing: up to 1,024 lines wait for it; more are
// dropped and counted. Default and nil: slog.Default() at the time of the call of New, Open or NewPublisher.
func WithLogger(l *slog.Logger) SharedOption { return withLogger{l} }

// WithEvents sets a function that receives events of the engine itself: sessions, settling, maintenance, Redis unreachable,
// draining, and each notice of maintenance before and after it is acted on. It is called on a goroutine of its own, so one that is
// slow or panics holds up nothing: see api.EventFunc. Default and nil: none. The log has the same events, single notices aside.
func WithEvents(f api.EventFunc) Option {
	return option(func(c *config) { c.events = f })
}

// WithMiddleware wraps the handler of notifications, for what concerns all of them alike: traces, logs, times, limits. Each function gets a
// handler and returns the one that is called in its place, which calls it or not. The first one is outermost. They are called once,
// when the engine is started.
//
// What a wrapped handler gets and returns is what the engine gives and gets: the context of a notification (api.Handler says when it
// ends), and the error, where one for api.Added fails the lease. A middleware may change both. A panic in one counts as a panic of the
// handler. It is called by all workers at once, and time that it takes is the worker's. It gets notifications only; it is not called
// when a lease is renewed. context.AfterFunc with the lease's context is how it learns of the end of a lease, whoever ends it (see
// api.Lease).
//
// Run calls it with every notification, api.Terminated included. RunEach calls it with api.Added only, around the function, whose result
// counts as RunEach says. RunLayer, and with it engine/feed and engine/schedule, calls it with api.Added only as well, around
// Layer.Added: it has to pass on the lease that it got, once and before it returns, or the lease fails. What it returns after that is
// only logged, since the layer has begun. Batches and ticks have the Middleware of feed.Config and schedule.Config. Start has no handler, and
// fails with api.ErrInvalidConfig if there is middleware: call it yourself around what receives from the channel.
//
// Default and zero functions: none. At most 1,000. A nil function makes New fail, and one that returns nil makes Run, RunEach and RunLayer
// fail, before anything is sent.
func WithMiddleware(m ...func(api.Handler) api.Handler) Option {
	return option(func(c *config) { c.middleware = m })
}

// WithScriptHook has a function called before each script that the engine sends to Redis, and what that returns when the script has
// ended, with the error of the call, nil if it ran. What it returns may be nil. Scripts have the names that they have in metrics: acquire,
// done, requeue, read. Those that go out together are called one by one. One script may concern many streams, and many are sent without
// any, to look for what is due: so this is for finding out what happens, and less so for production.
//
// It is called for scripts of engine/feed and engine/schedule on this engine, too. It is not called for what keeps leases and sessions:
// open, beat, renew, extend and verify. Nor is it called for commands that are not scripts, or for publishers
// and tables, which are the caller's.
//
// ctx has the values of the context given to Run, or of the call that sends the script. Both functions are called in the way of the script,
// by many goroutines at once, so they must not block. If one panics, that is logged, and the script is sent all the same. Default and
// nil: none, which costs nothing.
func WithScriptHook(hook func(ctx context.Context, script string) (done func(err error))) Option {
	return option(func(c *config) { c.scriptHook = hook })
}

// WithNotBefore sets the earliest time at which the announced stream is handed out, by the clock of the Redis server, in whole
// milliseconds. Default, the zero time and any time in the past: at once. A time more than ten years ahead, or between 1970 and
// March 1973, makes Publish fail: it was meant in another unit. Where consumers are not busy, the stream comes up to 0.2 s after that
// time, or up to a second later if the process that attends to it has just died.
func WithNotBefore(t time.Time) PublishOption {
	return publishOption(func(a *api.Announcement) { a.NotBefore = t })
}

// WithField adds a field beside the announcement, which the owner of the stream finds by api.Lease.Field: see api.Announcement.Fields.
// Several may be given. Default and zero of them: none.
func WithField(name, value string) PublishOption {
	return publishOption(func(a *api.Announcement) { a.Fields = append(a.Fields, api.Field{Name: name, Value: value}) })
}

// OnlyIfUnowned announces the stream only if nobody owns it, for producers that write to a data stream and then see to it that it has an
// owner, with every message: that costs one short call, and an announcement only when there is nobody. It does not announce either
// while the announcement that this publisher last made of the stream so is still there for somebody to get: while no engine runs, one is
// made, and not one a message. A publisher remembers that for the 10,000 streams that it announced last, up to 4 MiB; every other
// publisher has a memory of its own. An announcement that was moved, because its stream failed and is delayed or was handed back, is
// not recognised: then there is one more, which does no harm (see Publish).
//
// An owner that is about to leave counts as none (see Engine.Shut), so that the last message before it leaves is not left alone: add the
// message first, wait for the answer, and announce then.
//
// Publish returns the entry that stands for the stream: the new one, or the one announced before; "" without an error if the stream
// is owned. Its user needs more rights (docs/acl.md). WithNotBefore does not go with it: Publish fails with api.ErrInvalidConfig.
func OnlyIfUnowned() PublishOption {
	return publishOption(func(a *api.Announcement) { a.OnlyIfUnowned = true })
}
