package handling

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/notes"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// slowOne of so many batches takes slowFor, and failOne of so many fails, before any of its messages counts as handled.
	slowOne, slowFor = 200, 300 * time.Millisecond
	failOne          = 2000
)

// ReaderOptions say what a process of the soak reads.
type ReaderOptions struct {
	Service    string
	Partitions int
	Prefix     string // of the names of streams, which a number follows
	Consumer   string // its connections have this name, too
	Notes      string // path of the file for what it handled
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Checkpoint time.Duration
}

// args are the arguments with which this program becomes the process of that name.
func (o ReaderOptions) args(run, notes string) []string {
	return []string{"soak-reader", "-service", o.Service, "-partitions", strconv.Itoa(o.Partitions), "-prefix", o.Prefix, "-consumer", run,
		"-notes", notes, "-lease-ttl", o.LeaseTTL.String(), "-session-ttl", o.SessionTTL.String(), "-checkpoint", o.Checkpoint.String()}
}

// Answer is what a process answers when it is asked.
type Answer struct {
	Held  int
	Error string
}

// Failure implements pod.Answer.
func (a Answer) Failure() string { return a.Error }

// Reader owns streams and handles their messages until in ends, then drains. It answers each line with a line of JSON.
func Reader(ctx context.Context, o ReaderOptions, in io.Reader, out io.Writer) error {
	encode := json.NewEncoder(out)
	r, err := startReader(ctx, o)
	if err != nil {
		return encode.Encode(Answer{Error: err.Error()})
	}
	defer r.file.Close()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			asked <- struct{}{}
		}
	}()
	for stalls := time.Tick(notes.StallStep); ; {
		select {
		case _, more := <-asked:
			if !more {
				return errors.Join(r.engine.Shutdown(ctx), <-r.ended)
			}
			if err := encode.Encode(Answer{Held: r.engine.Stats().Held}); err != nil {
				return err
			}
		case <-stalls:
			if err := r.look(); err != nil {
				return err
			}
		case err := <-r.ended:
			return fmt.Errorf("the feed ended by itself: %w", errors.Join(err, r.engine.Shutdown(ctx)))
		}
	}
}

type reader struct {
	options ReaderOptions
	engine  *engine.Engine
	file    *os.File
	ended   chan error
	stalls  notes.Stalls
}

// look notes since when the process did not run, if it did not.
func (r *reader) look() error {
	since, now, stood := r.stalls.Look()
	if !stood {
		return nil
	}
	_, err := r.file.Write(note{stalled, 0, id{ms: uint64(since)}, 0, now}.appendTo(nil))
	return err
}

func startReader(ctx context.Context, o ReaderOptions) (*reader, error) {
	opt, err := target.ChildOption()
	if err != nil {
		return nil, err
	}
	opt.ClientName = o.Consumer
	r := &reader{options: o, ended: make(chan error, 1), stalls: notes.Stalls{Session: o.SessionTTL}}
	if r.file, err = notes.Open(o.Notes); err != nil {
		return nil, err
	}
	r.engine, err = engine.Open(opt, o.Service, engine.WithPartitions(o.Partitions), engine.WithLeaseTTL(o.LeaseTTL),
		engine.WithSessionTTL(o.SessionTTL), engine.WithConsumerID(o.Consumer),
		// Owners die all the time here: with the default, streams whose owners have died ten times would wait for minutes.
		engine.WithRecovery(scan.Config{Interval: max(o.SessionTTL/2, scan.MinInterval), MaxCrashes: scan.NoLimit, MaxCrashDelay: 2 * o.SessionTTL}),
		engine.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))))
	if err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	f, err := feed.New(r.engine, r.handle, feed.Config{
		CheckpointEvery: o.Checkpoint, RetryDelay: 50 * time.Millisecond,
		OnStart: func(_ context.Context, l api.Lease, _ string) error { return r.note(started, l, id{}) },
		OnStop: func(l api.Lease, why error) {
			k := released
			if !errors.Is(why, api.ErrReleasing) {
				k = lost
			}
			r.must(r.note(k, l, id{}))
		},
		OnGap: func(_ context.Context, g feed.Gap) {
			to, err := parseID(g.To)
			r.must(errors.Join(err, r.note(gap, g.Lease, to)))
		},
	})
	if err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	go func() { r.ended <- f.Run(ctx) }()
	for r.engine.Ready(ctx) != nil {
		select {
		case err := <-r.ended:
			return nil, errors.Join(fmt.Errorf("the engine ended: %w", err), r.file.Close())
		case <-time.After(time.Millisecond):
		}
	}
	return r, nil
}

func (r *reader) number(l api.Lease) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(l.Stream(), r.options.Prefix), 10, 32)
	return uint32(n), err
}

// must ends the process if something could not be noted, since the soak would be wrong then.
func (r *reader) must(err error) {
	if err != nil {
		slog.Error("not noted", "error", err)
		os.Exit(1)
	}
}

// note notes something about a lease.
func (r *reader) note(k kind, l api.Lease, x id) error {
	stream, err := r.number(l)
	if err == nil {
		_, err = r.file.Write(note{k, stream, x, l.Token(), journal.Monotonic()}.appendTo(nil))
	}
	return err
}

// handle notes the messages of a batch in one write. What was handled and could not be noted was not handled.
func (r *reader) handle(_ context.Context, b *feed.Batch) error {
	if rand.N(slowOne) == 0 {
		time.Sleep(slowFor)
	}
	if rand.N(failOne) == 0 {
		return errors.New("at random")
	}
	stream, err := r.number(b.Lease)
	if err != nil {
		return api.Permanent(err)
	}
	var text []byte
	for _, m := range b.Messages {
		x, err := parseID(m.ID)
		if err != nil {
			return api.Permanent(err)
		}
		at := journal.Monotonic()
		if b.Lease.Remaining() <= 0 { // after the clock was read, so it was the owner then
			return api.ErrLeaseLost
		}
		text = note{handled, stream, x, b.Lease.Token(), at}.appendTo(text)
	}
	_, err = r.file.Write(text)
	return err
}
