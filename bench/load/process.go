package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/target"
)

// Options say to which streams messages are added.
type Options struct {
	Prefix  string // of the names of streams
	Streams int
	Within  Slots // only streams in these slots; empty: all
	Without Slots // only streams that are not in these slots
	Seed    uint64
}

// Sent is what a producer has done since its start, as it answers.
type Sent struct {
	Messages int64
	Sum      int64             // of their numbers
	Took     time.Duration     // of the last command
	Late     measure.Histogram // how long after it was due each message was sent
	CPU      time.Duration
	Error    string
}

// Failure implements pod.Answer.
func (s Sent) Failure() string { return s.Error }

// Process is a producer in a process of its own.
type Process struct{ *pod.Process }

// Start starts this program again, as a producer. The end of ctx kills it.
func Start(ctx context.Context, redis string, o Options) (Process, error) {
	p, err := pod.StartSelf(ctx, redis, "", "load", "-prefix", o.Prefix, "-streams", fmt.Sprint(o.Streams),
		"-within", string(o.Within), "-without", string(o.Without), "-seed", fmt.Sprint(o.Seed))
	return Process{p}, err
}

// Seed adds a message to each stream.
func (p Process) Seed() (Sent, error) { return pod.Ask[Sent](p.Process, "fill 1 %s", Even) }

// Fill adds that many messages to each stream, as fast as it can.
func (p Process) Fill(each int) (Sent, error) {
	return pod.Ask[Sent](p.Process, "fill %d %s", each, Even)
}

// Send adds that many messages a second for a time of d.
func (p Process) Send(rate int, d time.Duration, s Spread) (Sent, error) {
	return pod.Ask[Sent](p.Process, "send %d %d %s", rate, d, s)
}

// Serve is the process from inside. It executes commands, lines on in, and answers each with a line of JSON on out:
//
//	fill EACH SPREAD     adds that many messages for each stream, as fast as it can
//	send RATE NS SPREAD  adds messages at that rate for that time
//
// It ends when in does.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	encode := json.NewEncoder(out)
	s, err := newSender(o)
	if err != nil {
		return encode.Encode(Sent{Error: err.Error()})
	}
	defer s.client.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := s.execute(ctx, lines.Text(), o.Seed)
		if err != nil {
			answer.Error = err.Error()
		}
		if err := encode.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func newSender(o Options) (*sender, error) {
	server, err := target.ChildOption()
	if err != nil {
		return nil, err
	}
	server.DisableCache = true
	s := &sender{streams: Names(o.Prefix, o.Streams)}
	if o.Within != "" {
		s.streams = o.Within.Of(s.streams, true)
	}
	if o.Without != "" {
		s.streams = o.Without.Of(s.streams, false)
	}
	if len(s.streams) == 0 {
		return nil, fmt.Errorf("none of %d streams is in these slots", o.Streams)
	}
	s.client, err = rueidis.NewClient(server)
	return s, err
}

func (s *sender) execute(ctx context.Context, line string, seed uint64) (Sent, error) {
	words := strings.Fields(line)
	began := time.Now()
	err := s.command(ctx, words, seed+uint64(s.sent))
	answer := Sent{Messages: s.sent, Sum: s.sum, Took: time.Since(began), Late: s.late.Read()}
	if err == nil {
		answer.CPU, err = measure.CPU()
	}
	return answer, err
}

func (s *sender) command(ctx context.Context, words []string, seed uint64) error {
	number := func(i int) (n int) {
		if i < len(words) {
			_, _ = fmt.Sscan(words[i], &n) // 0 is refused below
		}
		return n
	}
	spread, err := ParseSpread(words[len(words)-1])
	if err != nil {
		return err
	}
	next := spread.chooser(len(s.streams), seed)
	switch {
	case words[0] == "fill" && number(1) > 0:
		return s.add(ctx, number(1)*len(s.streams), next)
	case words[0] == "send" && number(1) > 0 && number(2) > 0:
		return s.send(ctx, number(1), time.Duration(number(2)), next)
	}
	return fmt.Errorf("not a command: %q", strings.Join(words, " "))
}
