package engine

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/wheel"
)

// NoStreams is no stream at all, for WithMaxStreams and SetMaxStreams.
const NoStreams = -1

// Defaults and limits of the options.
const (
	DefaultLeaseTTL          = 30 * time.Second
	DefaultSessionTTL        = 10 * time.Second // 20 s on a cluster
	DefaultClusterSessionTTL = 20 * time.Second
	DefaultDrainTimeout      = 20 * time.Second
	DefaultWorkers           = 16
	DefaultReadBatch         = 1000
	DefaultMaxParked         = 10_000
	DefaultWeight            = 1.0
	// DefaultReadMemory lets eight partitions read full batches at a time.
	DefaultReadMemory = 64 << 20

	// MinWeight and MaxWeight are the limits of WithWeight and SetWeight.
	MinWeight, MaxWeight = scan.MinWeight, scan.MaxWeight

	// MinTTL leaves time for a margin and two attempts at a beat on a network with round trips of some 10 ms.
	MinTTL = 500 * time.Millisecond
	// MaxTTL bounds mistakes: for a TTL, nobody takes over from a dead process.
	MaxTTL = 24 * time.Hour
	// MinTimeout is longer than a full batch takes on a busy server nearby.
	MinTimeout = 10 * time.Millisecond

	// MinDrainTimeout leaves 5 ms for the end and up to 50 ms for handing back, which is what a few hundred streams take nearby.
	MinDrainTimeout = 100 * time.Millisecond
	MaxDrainTimeout = 24 * time.Hour
	MaxWorkers      = 10_000
	MaxReadBatch    = 10_000

	// MinReadMemory lets one partition read a full batch.
	MinReadMemory = 2 * lease.MaxCallWeight
)

// maxMiddleware is the most that WithMiddleware takes.
const maxMiddleware = 1000

const (
	beatsPerSession = 5
	renewalsPerTTL  = 3
	ticksPerSession = 20 // at least, if the user gave no tick

	maxBeat    = time.Second            // so that survivors hear of dead sessions within that time
	maxTimeout = time.Second            // if the user gave no timeout
	maxRetry   = 250 * time.Millisecond // a server that refuses is called no more than four times a second
	maxBlock   = 5 * time.Second        // how late a read finds out at most that its connection has died

	// A margin is a tenth of the TTL, up to a second; for TTLs above 1,000 s it is a thousandth, since the clocks of two hosts that
	// NTP corrects may drift apart by 2 * 500 ppm. It is never less than two ticks, by which the wheel may be late, and what a busy
	// scheduler adds: the owner is notified before the server's deadline passes.
	marginShare  = 10
	maxMargin    = time.Second
	driftShare   = 1000
	ticksLate    = 2
	schedulerLag = 50 * time.Millisecond
)

// config is the result of all options: every value is set and valid. It does not change after resolve, or onCluster.
type config struct {
	consumerID    string
	lockFile      string // "": none
	partitions    int
	leaseTTL      time.Duration
	sessionTTL    time.Duration
	drainTimeout  time.Duration
	wheel         wheel.Config
	pipeline      lease.Pipeline // MaxInFlight is at most partitions; Timeout is the same as timeout
	workers       int
	maxStreams    int // as given: see streamLimit
	balance       balance.Config
	weight        float64
	readBatch     int
	maxParked     int
	readMemory    int // bytes
	limits        lease.Limits
	recovery      scan.Config
	cluster       cluster.Config
	breaker       breaker.Config
	notices       notice.Config
	renewalClient rueidis.Client        // nil: none was given
	dial          *rueidis.ClientOption // nil: none was given
	dialer        *dialer.Dialer        // made from dial; nil: not yet, or not at all
	expired       bool
	setEvents     bool // may add to notify-keyspace-events
	settle        bool
	legacy        bool                  // start beside living consumers of the older library
	registerer    prometheus.Registerer // nil: metrics are counted and not registered
	logger        *slog.Logger
	events        api.EventFunc
	middleware    []func(api.Handler) api.Handler
	scriptHook    lease.ScriptHook // nil: none

	// Derived from the above.

	beat          time.Duration // the longest time between two beats of a session
	sessionMargin time.Duration // how much earlier than the server's the local deadline is
	leaseMargin   time.Duration
	interval      time.Duration // the longest time between two renewals of a lease
	timeout       time.Duration // of one attempt at a call
	retry         time.Duration // the first delay after a failed attempt
	block         time.Duration // of a read, in whole milliseconds, never 0
	gap           time.Duration // a longer gap in the beats of all processes is added to deadlines

	given struct{ sessionTTL, tick, timeout time.Duration } // as the user gave them, to derive the rest again
}

// resolve applies options, derives the rest and validates everything. Errors match api.ErrInvalidConfig.
func resolve(service string, opts []Option) (*config, *cluster.Layout, error) {
	c := &config{settle: true}
	for i, o := range opts {
		if o == nil {
			return nil, nil, invalid("option %d of %d is nil; leave it out", i+1, len(opts))
		}
		o.configure(c)
	}
	c.given.sessionTTL, c.given.tick, c.given.timeout = c.sessionTTL, c.wheel.Tick, c.pipeline.Timeout
	c.fill()
	if err := c.checkRanges(); err != nil {
		return nil, nil, err
	}
	layout, err := cluster.NewLayout(service, c.partitions)
	if err != nil {
		return nil, nil, err
	}
	c.derive(DefaultSessionTTL)
	if err := c.checkRelations(); err != nil {
		return nil, nil, err
	}
	return c, layout, nil
}

// onCluster raises the session TTL to the default for clusters, if the user gave none.
func (c *config) onCluster() error {
	c.derive(DefaultClusterSessionTTL)
	return c.checkRelations()
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{api.ErrInvalidConfig}, args...)...)
}

// streamLimit returns what WithMaxStreams and SetMaxStreams mean by n: how many streams may be held, math.MaxInt for no limit.
func streamLimit(n int) int {
	switch {
	case n == 0:
		return math.MaxInt
	case n < 0:
		return 0
	}
	return n
}

// checkWeight checks the weight of a process.
func checkWeight(name string, w float64) error {
	if !(w >= MinWeight && w <= MaxWeight) { // NaN, too
		return invalid("%s: %v is not between %v and %v; leave it out for %v", name, w, MinWeight, MaxWeight, DefaultWeight)
	}
	return nil
}

// maxMove is the greatest weight of an entry that is copied: whatever is within the limits can be.
func (c *config) maxMove() int { return max(lease.DefaultMaxMove, c.limits.MaxEntry) }

// fill replaces zeros by defaults, apart from what depends on the TTLs.
func (c *config) fill() {
	if c.consumerID == "" {
		c.consumerID = defaultConsumerID()
	}
	c.partitions = cmp.Or(c.partitions, cluster.DefaultPartitions)
	c.leaseTTL = cmp.Or(c.leaseTTL, DefaultLeaseTTL)
	c.drainTimeout = cmp.Or(c.drainTimeout, DefaultDrainTimeout)
	c.workers = cmp.Or(c.workers, DefaultWorkers)
	c.balance = c.balance.WithDefaults()
	c.weight = cmp.Or(c.weight, DefaultWeight)
	c.readBatch = cmp.Or(c.readBatch, DefaultReadBatch)
	c.maxParked = cmp.Or(c.maxParked, DefaultMaxParked)
	c.readMemory = cmp.Or(c.readMemory, max(DefaultReadMemory, 4*c.limits.MaxAnnouncement()))
	c.limits = c.limits.WithDefaults()
	c.pipeline = c.pipeline.WithDefaults()
	c.recovery = c.recovery.WithDefaults()
	c.cluster = c.cluster.WithDefaults()
	c.breaker = c.breaker.WithDefaults()
	c.notices = c.notices.WithDefaults()
	if c.logger == nil {
		c.logger = slog.Default()
	}
	if c.events == nil {
		c.events = func(api.Event) {}
	}
}

// defaultConsumerID returns what tells this process from others of a fleet: POD_NAME, POD_IP or the host name, whichever is set
// first.
func defaultConsumerID() string {
	for _, name := range []string{"POD_NAME", "POD_IP"} {
		if id := os.Getenv(name); id != "" {
			return tidyConsumerID(id)
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "unnamed"
	}
	return tidyConsumerID(host)
}

// tidyConsumerID makes a valid consumer ID of a name that nobody chose as one: an error would keep a program from starting on some
// hosts only.
func tidyConsumerID(name string) string {
	const prefix = "id-"
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-:", r):
			return r
		}
		return '-'
	}, name)
	if strings.HasPrefix(name, lease.LegacyPrefix) {
		name = prefix + name
	}
	return name[:min(len(name), cluster.MaxConsumerID)]
}

// derive computes what depends on the TTLs. fallback is the session TTL if the user gave none.
func (c *config) derive(fallback time.Duration) {
	c.sessionTTL = cmp.Or(c.given.sessionTTL, min(fallback, c.leaseTTL))

	short := (c.sessionTTL / ticksPerSession).Truncate(time.Millisecond)
	c.wheel.Tick = cmp.Or(c.given.tick, min(wheel.DefaultTick, max(short, wheel.MinTick)))
	c.wheel = c.wheel.WithDefaults()

	c.beat = min(maxBeat, c.sessionTTL/beatsPerSession)
	c.sessionMargin = c.margin(c.sessionTTL)
	c.leaseMargin = c.margin(c.leaseTTL)
	c.interval = c.leaseTTL / renewalsPerTTL
	c.gap = 2 * c.beat
	c.retry = min(maxRetry, c.beat/4)
	c.block = min(maxBlock, (c.sessionTTL-c.beat)/2).Truncate(time.Millisecond)

	twice := (c.sessionTTL - c.sessionMargin - c.beat) / 2
	c.timeout = cmp.Or(c.given.timeout, min(maxTimeout, twice.Truncate(time.Millisecond)))
	c.pipeline.Timeout = c.timeout
	c.pipeline.MaxInFlight = min(c.pipeline.MaxInFlight, c.partitions)
}

// margin returns how much earlier than the server's the local deadline is.
func (c *config) margin(ttl time.Duration) time.Duration {
	return max(min(ttl/marginShare, max(maxMargin, ttl/driftShare)), ticksLate*c.wheel.Tick+schedulerLag)
}

// checkRanges checks each value by itself.
func (c *config) checkRanges() error {
	if err := cluster.ValidateConsumerID(c.consumerID); err != nil {
		return err
	}
	for _, f := range []struct {
		option     string
		value      time.Duration
		from, upTo time.Duration
		fallback   time.Duration
	}{
		{"WithLeaseTTL", c.leaseTTL, MinTTL, MaxTTL, DefaultLeaseTTL},
		{"WithSessionTTL", c.given.sessionTTL, MinTTL, MaxTTL, DefaultSessionTTL},
		{"WithDrainTimeout", c.drainTimeout, MinDrainTimeout, MaxDrainTimeout, DefaultDrainTimeout},
	} {
		if f.value != 0 && (f.value < f.from || f.value > f.upTo) {
			return invalid("%s: %v is not between %v and %v; leave it out for %v", f.option, f.value, f.from, f.upTo, f.fallback)
		}
	}
	for _, f := range []struct {
		option                string
		value, upTo, fallback int
	}{
		{"WithWorkers", c.workers, MaxWorkers, DefaultWorkers},
		{"WithReadBatch", c.readBatch, MaxReadBatch, DefaultReadBatch},
	} {
		if f.value < 1 || f.value > f.upTo {
			return invalid("%s: %d is not between 1 and %d; leave it out for %d", f.option, f.value, f.upTo, f.fallback)
		}
	}
	if c.maxParked < 1 {
		return invalid("WithMaxParked: %d is not at least 1; leave it out for %d", c.maxParked, DefaultMaxParked)
	}
	if err := checkWeight("WithWeight", c.weight); err != nil {
		return err
	}
	if err := c.limits.Validate(); err != nil {
		return invalid("WithLimits: %w", err)
	}
	if least := max(MinReadMemory, 2*c.limits.MaxAnnouncement()); c.readMemory < least {
		return invalid("WithReadMemory: %d is below %d, the least, and twice the longest announcement of WithLimits, %d; leave it out for at least %d",
			c.readMemory, MinReadMemory, 2*c.limits.MaxAnnouncement(), DefaultReadMemory)
	}
	return c.checkParts()
}

// checkParts checks the values that other packages validate, and what the engine adds to that.
func (c *config) checkParts() error {
	if err := c.wheel.Validate(); err != nil {
		return invalid("WithWheel: %w", err)
	}
	if err := c.pipeline.Validate(); err != nil {
		return invalid("WithPipeline: %w", err)
	}
	if t := c.given.timeout; t != 0 && t < MinTimeout {
		return invalid("WithPipeline: Timeout: %v is below %v; leave it out, for at most %v", t, MinTimeout, maxTimeout)
	}
	if err := c.recovery.Validate(); err != nil {
		return invalid("WithRecovery: %w", err)
	}
	if err := c.balance.Validate(); err != nil {
		return invalid("WithBalance: %w", err)
	}
	if err := c.cluster.Validate(); err != nil {
		return invalid("WithCluster: %w", err)
	}
	if err := c.breaker.Validate(); err != nil {
		return invalid("WithBreaker: %w", err)
	}
	if err := c.notices.Validate(); err != nil {
		return invalid("WithMaintenance: %w", err)
	}
	if err := c.checkMiddleware(); err != nil {
		return err
	}
	if c.dial != nil && len(c.dial.InitAddress) == 0 {
		return invalid("WithDial: InitAddress is empty; give it the address of a server, or leave WithDial out")
	}
	return nil
}

// checkRelations checks values against each other. The session's rules are stricter than the lease's, so they come first.
func (c *config) checkRelations() error {
	if c.sessionTTL > c.leaseTTL {
		return invalid("WithSessionTTL: %v is above the lease TTL, %v, but a lease must outlive settling, which lasts a session TTL;"+
			" use at most %v, or WithLeaseTTL(%v)", c.sessionTTL, c.leaseTTL, c.leaseTTL, c.sessionTTL)
	}
	if c.wheel.Tick > c.beat {
		return invalid("WithWheel: Tick is %v, above the time between beats, %v, of a session TTL of %v;"+
			" use a Tick of at most %v, or leave it out", c.wheel.Tick, c.beat, c.sessionTTL, c.beat)
	}
	for _, x := range []struct {
		name        string
		ttl, margin time.Duration
	}{{"session", c.sessionTTL, c.sessionMargin}, {"lease", c.leaseTTL, c.leaseMargin}} {
		if x.margin >= x.ttl/3 {
			return invalid("WithWheel: Tick is %v, which asks for a margin of %v, but a third of the %s TTL of %v is %v;"+
				" use a Tick below %v, or a longer TTL", c.wheel.Tick, x.margin, x.name, x.ttl, x.ttl/3, (x.ttl/3-schedulerLag)/ticksLate)
		}
	}
	if c.sessionTTL < 3*c.beat {
		return invalid("WithSessionTTL: %v is below three beats of %v; use at least %v", c.sessionTTL, c.beat, 3*c.beat)
	}
	return c.checkTimeout()
}

// checkTimeout checks that after a call without an answer there is time to act before a deadline.
func (c *config) checkTimeout() error {
	if trust := c.sessionTTL - c.sessionMargin; c.beat+c.timeout >= trust {
		return invalid("WithPipeline: Timeout: a beat every %v + a timeout of %v must be below the session TTL - its margin, %v - %v = %v;"+
			" use a Timeout below %v, or a longer WithSessionTTL", c.beat, c.timeout, c.sessionTTL, c.sessionMargin, trust, trust-c.beat)
	}
	if trust := c.leaseTTL - c.leaseMargin; c.interval+c.timeout >= trust {
		return invalid("WithPipeline: Timeout: a renewal every %v + a timeout of %v must be below the lease TTL - its margin, %v - %v = %v;"+
			" use a Timeout below %v, or a longer WithLeaseTTL", c.interval, c.timeout, c.leaseTTL, c.leaseMargin, trust, trust-c.interval)
	}
	return nil
}

// checkMiddleware checks what WithMiddleware was given.
func (c *config) checkMiddleware() error {
	if n := len(c.middleware); n > maxMiddleware {
		return invalid("WithMiddleware: %d are above %d; use fewer", n, maxMiddleware)
	}
	for i, m := range c.middleware {
		if m == nil {
			return invalid("WithMiddleware: %d of %d is nil; leave it out", i+1, len(c.middleware))
		}
	}
	return nil
}
