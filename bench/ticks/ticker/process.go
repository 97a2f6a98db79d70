package ticker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
)

// Model is a way of firing ticks.
type Model string

// The models that are compared.
const (
	Owned  Model = "owned"  // engine/schedule: an engine owns the schedules
	Locked Model = "locked" // a goroutine and a time.Ticker for each schedule, and SET NX PX for each tick
)

// Options say what a process fires, and how.
type Options struct {
	Model      Model
	Service    string
	Prefix     string        // of the names of schedules, which a number follows
	Schedules  int           // Locked: how many there are
	Every      time.Duration // Locked: of all of them
	Partitions int           // 0: the default
	LeaseTTL   time.Duration // 0: the default
	SessionTTL time.Duration // 0: the default
	Consumer   string        // its connections have this name, too; empty: the default
	Notes      string        // path of the file for what it fires; empty: none
	Troubled   bool          // some handlers take long and some fail, and schedules may crash any number of times
}

// Args are the arguments with which this program becomes a process.
func (o Options) Args() []string {
	return []string{"ticker", "-model", string(o.Model), "-service", o.Service, "-prefix", o.Prefix, "-schedules", strconv.Itoa(o.Schedules),
		"-every", o.Every.String(), "-partitions", strconv.Itoa(o.Partitions), "-lease-ttl", o.LeaseTTL.String(),
		"-session-ttl", o.SessionTTL.String(), "-consumer", o.Consumer, "-notes", o.Notes, fmt.Sprint("-troubled=", o.Troubled)}
}

// Answer is the state of a process.
type Answer struct {
	Held       int               // schedules that it owns, or knows
	Ticks      int64             // fired so far
	Late       measure.Histogram // from when a tick was due until its handler was called, by the server's clock
	CPU        time.Duration
	Goroutines int   // how many more than before the client was made
	Memory     int64 // bytes of live heap and stacks, how many more than when the client ran idle, or before it was made; only in answer to "memory"
	RSS        int64
	Took       time.Duration // only in answer to "drain", which has nothing else
	Error      string
}

// Failure implements pod.Answer.
func (a Answer) Failure() string { return a.Error }

// Process is a child.
type Process struct{ *pod.Process }

// Start starts this program again, as a process that fires ticks. The end of ctx kills it.
func Start(ctx context.Context, redis string, o Options) (Process, error) {
	p, err := pod.StartSelf(ctx, redis, "", o.Args()...)
	return Process{p}, err
}

// Ask sends a line to the process and returns its answer.
func (p Process) Ask(format string, args ...any) (Answer, error) {
	return pod.Ask[Answer](p.Process, format, args...)
}
