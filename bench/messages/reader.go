package messages

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
)

// ReaderOptions say what a reader reads, and how.
type ReaderOptions struct {
	Model     Model
	Service   string
	Prefix    string // of the names of streams
	Streams   int
	Apart     load.Slots // latencies of streams in these slots are measured apart
	Clustered bool       // the server is a Redis Cluster
}

// Reader is the state of a reader, as it answers.
type Reader struct {
	Held       int   // streams that it reads
	Messages   int64 // handled so far
	Sum        int64 // of their numbers
	Bad        int64 // what could not be read, or was no message of the load
	First      time.Time
	Last       time.Time // when the first and the last message were handled
	Latency    measure.Histogram
	Apart      measure.Histogram
	CPU        time.Duration
	Goroutines int   // how many more than before the client was made
	Heap       int64 // bytes of live heap, how many more than when the client ran idle; only in answer to "heap"
	Memory     int64 // likewise, with the stacks of goroutines
	RSS        int64
	Counts     map[string]float64 // of what happened inside, by name
	Left       time.Duration      // what handing back all streams took; only in answer to "leave"
	Error      string
}

// Failure implements pod.Answer.
func (r Reader) Failure() string { return r.Error }

// startReader starts this program again, as a reader. The end of ctx kills it.
func startReader(ctx context.Context, redis string, o ReaderOptions) (*pod.Process, error) {
	return pod.StartSelf(ctx, redis, "", "reader", "-model", string(o.Model), "-service", o.Service, "-prefix", o.Prefix,
		"-streams", fmt.Sprint(o.Streams), "-apart", string(o.Apart), fmt.Sprint("-clustered=", o.Clustered))
}

// ServeReader is the process from inside. It executes commands, lines on in, and answers each with a line of JSON on out:
//
//	open          makes the client, and its connections unless they are a cost of the streams
//	connect       makes the connections of the streams, if each has one
//	read          begins to read; a model that owns streams begins when they are announced
//	await N       answers when N messages were handled
//	hold N        answers when N streams are read, or owned
//	profile FILE  begins a profile of its processor time; without FILE, ends it
//	leave         ends the engine, and answers when it has handed back all that it owned
//	look          answers at once
//	heap FILE     answers after a garbage collection; with FILE, it also writes a profile of the heap
//
// It ends when in does, without handing anything back.
func ServeReader(ctx context.Context, o ReaderOptions, in io.Reader, out io.Writer) error {
	s := &reading{options: o}
	m, err := newModel(o, &s.tally)
	s.model = m
	encode := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var answer Reader
		if err == nil {
			answer, err = s.execute(ctx, strings.TrimSpace(lines.Text()))
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := encode.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

// reading is a reader from inside.
type reading struct {
	options ReaderOptions
	model   model
	tally   tally
	before  int // goroutines
	heap    int64
	memory  int64
	profile measure.Profile
}

func (s *reading) execute(ctx context.Context, command string) (r Reader, err error) {
	name, argument, _ := strings.Cut(command, " ")
	n, _ := strconv.Atoi(argument)
	switch name {
	case "await":
		err = await(ctx, "messages were handled", n, func() int { return int(s.tally.messages.Load()) })
	case "hold":
		err = await(ctx, "streams are held", n, s.model.held)
	case "open":
		s.before = runtime.NumGoroutine()
		if err := s.model.open(ctx); err != nil {
			return r, err
		}
		s.heap, s.memory = int64(measure.Heap()), int64(measure.Memory())
	case "connect":
		err = s.model.connect(ctx)
	case "read":
		err = s.model.read(ctx)
	case "profile":
		err = s.profile.Turn(argument)
	case "leave":
		began := time.Now()
		err = s.model.leave(ctx)
		r.Left = time.Since(began)
	case "look", "heap":
	default:
		err = fmt.Errorf("not a command: %q", command)
	}
	if err != nil {
		return r, err
	}
	s.tally.into(&r)
	r.Held, r.Counts = s.model.held(), s.model.counts()
	r.Bad += s.model.failed()
	r.Goroutines = runtime.NumGoroutine() - s.before
	if r.CPU, err = measure.CPU(); err != nil {
		return r, err
	}
	if r.RSS, err = measure.RSS(); err != nil {
		return r, err
	}
	if name == "heap" {
		r.Heap, r.Memory = int64(measure.Heap())-s.heap, int64(measure.Memory())-s.memory
		err = writeHeap(argument)
	}
	return r, err
}

// await waits until count has reached n. It polls: counting in the handler would be one more cost to measure.
func await(ctx context.Context, what string, n int, count func() int) error {
	if err := measure.Poll(ctx, pod.Patience, func() (bool, error) { return count() >= n, nil }); err != nil {
		return fmt.Errorf("%d of %d %s in %v", count(), n, what, pod.Patience)
	}
	return nil
}

// tally is what all handlers have seen. It is the same for all models, so it cancels out where they are compared.
type tally struct {
	apart       load.Slots
	messages    atomic.Int64
	sum         atomic.Int64
	bad         atomic.Int64
	first, last atomic.Int64 // UnixNano
	latency     measure.Recorder
	others      measure.Recorder // of streams that are apart
}

// take takes in a batch of n messages.
func (t *tally) take(stream string, n int, value func(i int) string) {
	now := time.Now()
	into := &t.latency
	if t.apart != "" && t.apart.Has(stream) {
		into = &t.others
	}
	sum := int64(0)
	for i := range n {
		sent, number, err := load.Parse(value(i))
		if err != nil {
			t.bad.Add(1)
			continue
		}
		sum += number
		into.Observe(now.Sub(sent))
	}
	t.sum.Add(sum)
	t.first.CompareAndSwap(0, now.UnixNano())
	t.last.Store(now.UnixNano())
	t.messages.Add(int64(n))
}

func (t *tally) into(r *Reader) {
	r.Messages, r.Sum, r.Bad = t.messages.Load(), t.sum.Load(), t.bad.Load()
	r.First, r.Last = time.Unix(0, t.first.Load()), time.Unix(0, t.last.Load())
	r.Latency, r.Apart = t.latency.Read(), t.others.Read()
}
