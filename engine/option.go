package engine

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/wheel"
)

// Option changes how an [Engine] works. Options are made by the With functions of this package only. Of an option that
// is given twice the last one counts. Zero always means the default, so an option may be fed from a flag that was not
// set; what is out of its limits, or contradicts another option, is an error of [New] that matches
// api.ErrInvalidConfig.
type Option interface{ configure(*config) }

// PublisherOption changes how a [Publisher] works.
type PublisherOption interface{ configurePublisher(*publisherConfig) }

// SharedOption is for engines and publishers alike: what they must agree on.
type SharedOption interface {
	Option
	PublisherOption
}

// PublishOption changes one announcement.
type PublishOption interface{ configureAnnouncement(*api.Announcement) }

// publisherConfig is what PublisherOptions come to.
type publisherConfig struct {
	partitions int
	limits     lease.Limits
}

type option func(*config)

func (o option) configure(c *config) { o(c) }

type publishOption func(*api.Announcement)

func (o publishOption) configureAnnouncement(a *api.Announcement) { o(a) }

// WithConsumerID names this process in Redis, in logs and in what others see of it: 1 to 200 letters, digits, '.', '_',
// '-' and ':', not beginning with "redis-consumer-". It need not be unique, since every run adds a random suffix, but
// people will look for it. Default and "": the environment variable POD_NAME, else POD_IP, else the host name, with '-'
// in the place of characters that are not allowed.
func WithConsumerID(id string) Option {
	return option(func(c *config) { c.consumerID = id })
}

type withPartitions int

func (n withPartitions) configure(c *config)                   { c.partitions = int(n) }
func (n withPartitions) configurePublisher(c *publisherConfig) { c.partitions = int(n) }

// WithPartitions is the number of input streams of the service, each in a slot of its own on a Redis Cluster. It is
// fixed while a service runs: an engine or publisher with another number than the first one had fails with
// api.ErrPartitionMismatch. scan.Inspector.Repartition changes that of a stopped one. One serves a single server well; on a cluster, a few for each master. Default and zero: 1.
// From 1 to 1024.
func WithPartitions(n int) SharedOption { return withPartitions(n) }

// Limits is what an announcement may be at most.
type Limits = lease.Limits

type withLimits Limits

func (l withLimits) configure(c *config)                   { c.limits = Limits(l) }
func (l withLimits) configurePublisher(c *publisherConfig) { c.limits = Limits(l) }

// WithLimits is what an announcement may be at most: its name, its Info, its fields, all of it. A publisher refuses what is
// beyond, with an error that matches api.ErrTooLarge; an engine makes a dead letter of it, of the class too_large, without
// having read more of it than it needs. All members of a service should have the same; raise them in engines first, lower
// them in publishers first. Zero fields: their defaults, names of 64 KiB, Info of 1 MiB, 1,000 fields, 16 MiB in all.
func WithLimits(l Limits) SharedOption { return withLimits(l) }

// WithLeaseTTL is how long a lease lasts in Redis without being renewed. It is renewed three times as often, so the TTL
// sets the load (10,000 streams with the default are 1,000 extensions a second, in about ten scripts), and how long a
// stream of a dead process waits at most where nobody recovers it. How soon the death of a process is noticed is up to
// WithSessionTTL. Default and zero: 30 s. From 500 ms to 24 h.
func WithLeaseTTL(ttl time.Duration) Option {
	return option(func(c *config) { c.leaseTTL = ttl })
}

// WithSessionTTL is how long a process may be silent until the others take its streams over. It is beaten five times as
// often, at least every second. A shorter one shortens failover, and must still outlast a pause of the process, a hitch
// of the network and, where streams are not to be lost to it, a failover of Redis. Default and zero: 10 s, on a Redis
// Cluster 20 s, because a failover with the default cluster-node-timeout takes 15 s; never more than the lease TTL. From
// 500 ms to the lease TTL.
func WithSessionTTL(ttl time.Duration) Option {
	return option(func(c *config) { c.sessionTTL = ttl })
}

// WithDrainTimeout is how long a shutdown waits for handlers, and for streams to be handed back. Keep it below the time
// after which the process is killed: the default is below the 30 s of Kubernetes. Default and zero: 20 s. From 1 ms,
// which hardly waits, to 24 h.
func WithDrainTimeout(d time.Duration) Option {
	return option(func(c *config) { c.drainTimeout = d })
}

// WithWheel is the resolution and the shape of the structure that keeps the times of renewals and deadlines. Few need
// it. Zero fields: the defaults of the package wheel, but for Tick, which is a 20th of the session TTL where that is
// below 100 ms. Tick must not exceed the time between two beats, and 2 ticks + 50 ms not a third of the session TTL.
func WithWheel(w wheel.Config) Option {
	return option(func(c *config) { c.wheel = w })
}

// WithPipeline is how calls travel to Redis: the size of batches, how many are on their way at once, and how long to
// wait for an answer. Zero fields: their defaults. Timeout, where given, is at least 10 ms, and fits between a beat and
// the session's deadline, and between a renewal and the lease's.
func WithPipeline(p lease.Pipeline) Option {
	return option(func(c *config) { c.pipeline = p })
}

// WithWorkers is how many notifications are handled at a time, of different streams. Handlers that return at once need
// few; handlers that block need as many as are to block at a time. It does not apply to RunEach, which has a goroutine a
// stream. Default and zero: 16. From 1 to 10,000.
func WithWorkers(n int) Option {
	return option(func(c *config) { c.workers = n })
}

// WithMaxStreams is how many streams this process holds at most; beyond that it stops reading and leaves announcements
// to others. Set it to what was measured (docs/SIZING.md): without it, a process stops only when its renewals are late
// (IntakeStopped). SetMaxStreams changes it while running. Default and zero: no limit.
func WithMaxStreams(n int) Option {
	return option(func(c *config) { c.maxStreams = n })
}

// WithReadBatch is how many announcements are read at once from a partition. A process that takes over very much at
// once reads in fewer, larger steps with a greater number; with a smaller one several processes that start together
// share more evenly. Default and zero: 1,000. From 1 to 10,000.
func WithReadBatch(n int) Option {
	return option(func(c *config) { c.readBatch = n })
}

// WithMaxParked is how many announcements of streams that are held, here or elsewhere, this process keeps at hand, to
// take each stream as soon as it is free. What exceeds it waits in Redis and comes back later. Default and zero: 10,000.
// At least 1.
func WithMaxParked(n int) Option {
	return option(func(c *config) { c.maxParked = n })
}

// WithReadMemory is how many bytes of announcements this process holds at most whose streams it does not own: half of that
// for those that were read and have no place yet, over all partitions, half for those that are parked (WithMaxParked).
//
// The first half counts what is read, until its lease is taken or it is parked, and what is put off, given back or becomes a
// dead letter, until Redis has done that. Where it is full nothing more is read. Each partition has an equal share of half of it
// whatever the others hold; the rest is for whoever needs it, and the partitions of one master take no more of that than they
// leave. So a server that takes no leases, or refuses to move what is bad, stops no other (IntakeClogged). Redis delivers
// announcements by number and not by weight, so on top of that may come, in each partition, the one that a read waits for, up to
// eight where small ones were expected, and a page of those that a comparison takes in.
//
// What exceeds the second half waits in Redis. Info of streams that it owns, or has lost, is not counted: WithMaxStreams bounds
// that. Default and zero: 64 MiB, or four times the longest announcement that WithLimits allows. From 8 MiB, and twice the longest
// announcement.
func WithReadMemory(bytes int) Option {
	return option(func(c *config) { c.readMemory = bytes })
}

// WithRecovery is how often to look for what was left behind, and what becomes of streams that fail. Zero fields: their
// defaults.
func WithRecovery(r scan.Config) Option {
	return option(func(c *config) { c.recovery = r })
}

// WithCluster is how the topology of a Redis Cluster is followed. Zero fields: their defaults.
func WithCluster(cfg cluster.Config) Option {
	return option(func(c *config) { c.cluster = cfg })
}

// WithMaintenance is whether and how servers are asked to announce their maintenance, as Redis Software and Redis Cloud do.
// While they have announced some, sessions and leases last longer, answers are waited for longer, and nobody is recovered, for
// twice MaxWindow in all; afterwards everything is renewed. A server that knows nothing of it is asked once, on a connection of its own.
// That takes a way to make connections: with [New] alone there is none, so the default mode asks nobody, and notice.On is an
// error; [Open] has one, and WithDial gives one. On a server that announces, settling lasts longer by MaxWindow. Zero
// fields: their defaults.
func WithMaintenance(cfg notice.Config) Option {
	return option(func(c *config) { c.notices = cfg })
}

// WithRenewalClient is a client for beats and renewals alone, so that nothing else the program sends to Redis can hold
// them up. It stays the caller's, who closes it after the engine has stopped. Default and nil: with [Open] one of the
// engine's own, with [New] one made from WithDial, else the client given to New.
func WithRenewalClient(client rueidis.Client) Option {
	return option(func(c *config) { c.renewalClient = client })
}

// WithDial is how to make connections of the engine's own, for renewals and for notices of the servers. It is for [New]:
// the options of the client that New is given cannot be read from it; [Open] knows them. InitAddress must not be empty.
// Default: none, everything goes over the client given.
func WithDial(opt rueidis.ClientOption) Option {
	return option(func(c *config) { c.dial = &opt })
}

// WithExpired asks for api.Expired notifications: hints that the lease of another process ended, for Run and Start. They
// come only where the servers report expired keys (notify-keyspace-events with x and E, or with x and K), which
// WithKeyspaceEvents sees to where it may be done from here; the log says once when they do not. A hint may be late by
// minutes, since servers are in no hurry to expire keys, come twice, or not at all: before a subscription was
// made or made again (api.EventHintsMissed says when), while handlers are behind, and where the streams of a dead process
// were recovered before their leases ended, as they mostly are. Nothing here needs them, so nothing is done when some were
// missed.
//
// Hints hold up nothing, however many there are and however slow their handler is; anybody who may PUBLISH can forge them. They
// have goroutines of their own, beside WithWorkers: one for each eight of those, and at least one. Up to 256 wait there, more
// are dropped and counted. So a handler may be told Expired while another notification of that stream is handled.
//
// With K and neither g nor $, least is sent. Default: none.
func WithExpired() Option {
	return option(func(c *config) { c.expired = true })
}

// WithKeyspaceEvents allows the engine to have the servers report expired keys, for WithExpired: K, E and x are added to
// what notify-keyspace-events is set to, in memory only (CONFIG SET); nothing is taken away, and nothing is taken back
// at the end. Where CONFIG is refused, the engine says so once and goes on without. Default: nothing is set.
func WithKeyspaceEvents() Option {
	return option(func(c *config) { c.setEvents = true })
}

// WithSettle false takes free streams at once after a failover or restart of Redis, instead of waiting for a session
// TTL until those who hold them have said so. That trades the guarantee that a stream has one owner, which then does not
// hold across a failover, for availability. It also does without INFO and CLUSTER MYID, where access rules refuse both.
// The whole fleet must use the same. Default: true.
func WithSettle(settle bool) Option {
	return option(func(c *config) { c.settle = settle })
}

// WithForeignConsumers starts the engine although consumers of another library are alive on the same input stream,
// which is otherwise refused with api.ErrForeignConsumers: the two do not respect each other's leases, so a stream may
// have two owners. It is for those who know that the others are gone. Default: refuse.
func WithForeignConsumers() Option {
	return option(func(c *config) { c.legacy = true })
}

// WithRegisterer is where metrics are registered. Engines on one registerer share them: of two engines of one service
// the sums are shown. What the engine holds is taken off again when it has stopped. An error of the registerer is one
// of New. Default and nil: nowhere.
func WithRegisterer(r prometheus.Registerer) Option {
	return option(func(c *config) { c.registerer = r })
}

// WithLogger is where the engine logs. A message that recurs is summed up every ten seconds, so the number of lines does
// not grow with the number of streams. Its handler is called on a goroutine of its own, so one that blocks or panics holds up
// nothing: up to 1,024 lines wait for it, more are dropped and counted. Default and nil: slog.Default(), as it is when New is
// called.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}

// WithEvents is told what happens to the engine itself: sessions, settling, maintenance, Redis out of reach, draining. It
// runs on a goroutine of its own, so one that is slow or panics holds up nothing: see api.EventFunc. Default and nil: nobody
// is told; the log has the same.
func WithEvents(f api.EventFunc) Option {
	return option(func(c *config) { c.events = f })
}

// WithNotBefore is when the announced stream may be handed out at the earliest, by the clock of the Redis server, in
// whole milliseconds. Default, the zero time and one that has passed: at once. A time more than ten years ahead, or between
// 1970 and March 1973, is an error of Publish: it was meant in another unit.
func WithNotBefore(t time.Time) PublishOption {
	return publishOption(func(a *api.Announcement) { a.NotBefore = t })
}
