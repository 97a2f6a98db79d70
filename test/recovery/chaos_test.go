package recovery

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/trouble"
)

const (
	envChaos     = "STREAMLEASE_CHAOS"
	envChaosSeed = "STREAMLEASE_CHAOS_SEED"

	chaosTime    = 15 * time.Second
	chaosStreams = 150
	chaosSession = 1500 * time.Millisecond
)

// TestChaos: processes are killed, paused, cut off, shut down and started again, all at random, while streams are announced all the
// time. No two records of ownership overlap, no token falls, and at the end an owner has ended each stream and nothing is left on
// the server.
func TestChaos(t *testing.T) {
	t.Parallel()
	last := chaosTime
	if text := os.Getenv(envChaos); text != "" {
		var err error
		last, err = time.ParseDuration(text)
		require.NoError(t, err, envChaos)
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(envChaosSeed); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, envChaosSeed)
	}
	t.Logf("%s=%d", envChaosSeed, seed)
	c := &chaos{harness: newHarness(t), rnd: rand.New(rand.NewPCG(seed, 0)), events: make(map[string]int)}
	for i := range 4 {
		n := &node{chaos: c, name: fmt.Sprint("n", i), link: c.link()}
		if i%2 == 0 {
			n.lock = filepath.Join(c.dir, n.name+".lock")
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		require.NoError(t, n.Start())
	}
	c.storm(last)
	c.settle()
	t.Logf("%v of %v; %d ownerships of %d streams", c.events, last, len(c.records()), len(c.announced))
}

// chaos is a harness in which faults happen at random.
type chaos struct {
	*harness
	rnd    *rand.Rand
	nodes  []*node
	events map[string]int
}

// node is a slot in which one process runs after another, behind a link of its own.
type node struct {
	chaos *chaos
	name  string
	link  *proxy.Proxy
	lock  string // path of a file that proves the end of each process to the next one; half of the nodes have one
	child *child
	heal  func() error  // ends the trouble it is in; nil: none
	until time.Duration // when that is over
}

func (n *node) Kill() error {
	n.child.kill()
	return nil
}

func (n *node) Stop() error { return n.child.askToStop() }

func (n *node) Start() error {
	if n.child != nil {
		n.chaos.until(n.name+" has ended", n.child.gone)
	}
	n.chaos.start(n)
	return nil
}

func (n *node) Pause() error {
	n.child.pause()
	return nil
}

func (n *node) Resume() error {
	n.child.resume()
	return nil
}

func (n *node) Link() *proxy.Proxy { return n.link }

func (c *chaos) start(n *node) {
	n.child = c.child(spec{
		Addr: n.link.Addr(), Name: n.name, Session: chaosSession, Lease: 2 * chaosSession, Work: 400 * time.Millisecond,
		Fails: 0.1, Releases: 0.1, Lock: n.lock,
		Recovery: never(scan.Config{
			Interval: 2 * time.Second, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 500 * time.Millisecond,
			CrashDelay: 100 * time.Millisecond, MaxCrashDelay: 500 * time.Millisecond,
		}),
	})
}

// storm injects one fault after another.
func (c *chaos) storm(last time.Duration) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := journal.Monotonic() + last
	strike := journal.Monotonic()
	for number := 0; journal.Monotonic() < end; <-tick.C {
		// Some announcements are of earlier streams, some of which are still owned.
		batch := c.rnd.IntN(10)
		for range batch {
			n := number
			if number > 0 && c.rnd.IntN(3) == 0 {
				n = max(0, number-1-c.rnd.IntN(chaosStreams))
			} else {
				number++
			}
			c.add(n)
		}
		c.events["announced"] += batch
		c.clear(journal.Monotonic())
		if journal.Monotonic() >= strike {
			c.strike(c.nodes[c.rnd.IntN(len(c.nodes))])
			strike = journal.Monotonic() + time.Duration(c.rnd.ExpFloat64()*float64(400*time.Millisecond))
		}
	}
}

// clear ends the troubles that have lasted long enough, and restarts processes that have ended.
func (c *chaos) clear(now time.Duration) {
	for _, n := range c.nodes {
		if n.heal != nil && now >= n.until {
			require.NoError(c.T, n.heal())
			n.heal = nil
		}
	}
}

// strike starts a trouble for a node, unless it is in one.
func (c *chaos) strike(n *node) {
	if n.heal != nil {
		return
	}
	// Half of the troubles are shorter than a session, so that both kinds occur.
	n.until = journal.Monotonic() + time.Duration(c.rnd.Float64()*float64(2*chaosSession))
	all := trouble.Of(n)
	what := all[c.rnd.IntN(len(all))]
	c.events[what.Name]++
	var err error
	n.heal, err = what.Strike(n, c.rnd)
	require.NoError(c.T, err, what.Name)
}

// settle waits until everything is done, shuts down all processes, and checks the guarantees.
func (c *chaos) settle() {
	c.clear(1 << 62)
	c.until("everything is done", func() bool {
		return c.Num("XLEN", c.keys.Input) == 0 && c.Num("ZCARD", c.keys.Later) == 0
	})
	c.stateIs(state{Sessions: len(c.nodes), Consumers: len(c.nodes)})
	for _, n := range c.nodes {
		require.Zero(c.T, n.child.stop(), "%s ends well", n.name)
	}
	c.stateIs(state{})
	c.checkOwners()
	c.checkDone()
}
