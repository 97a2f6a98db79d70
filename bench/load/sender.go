package load

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
)

const (
	// chunk is how many messages are in flight at once, below the size of the ring of the client, 1,024.
	chunk = 512
	// every is how often messages that are due are sent.
	every = time.Millisecond
	// patience is how many times longer than planned a run of messages may take before what was not sent is left out.
	patience = 2
)

// sender adds messages to streams.
type sender struct {
	client  rueidis.Client
	streams []string
	sent    int64 // messages so far, which numbers them, from 1
	sum     int64 // of the numbers
	late    measure.Recorder
}

// add sends one message to each of these streams, in one pipeline for each chunk.
func (s *sender) add(ctx context.Context, n int, next func() int) error {
	for n > 0 {
		commands := make(rueidis.Commands, min(n, chunk))
		now := time.Now()
		for i := range commands {
			s.sent++
			s.sum += s.sent
			commands[i] = s.client.B().Xadd().Key(s.streams[next()]).Id("*").FieldValue().FieldValue(Field, Value(now, s.sent)).Build()
		}
		n -= len(commands)
		for _, result := range s.client.DoMulti(ctx, commands...) {
			if err := result.Error(); err != nil {
				return fmt.Errorf("adding messages: %w", err)
			}
		}
	}
	return nil
}

// send adds messages at a rate for a time of d: each is sent as soon as it is due, or as soon as those before it are. It gives up after
// twice that time.
func (s *sender) send(ctx context.Context, rate int, d time.Duration, next func() int) error {
	total := int(float64(rate) * d.Seconds())
	began := time.Now()
	for n := 0; n < total; {
		since := time.Since(began)
		if since > patience*d {
			return nil
		}
		due := min(total, int(float64(rate)*since.Seconds())+1)
		if due == n {
			if err := measure.Pause(ctx, every); err != nil {
				return err
			}
			continue
		}
		due = min(due, n+chunk)
		for i := n; i < due; i++ {
			s.late.Observe(since - time.Duration(float64(i)/float64(rate)*float64(time.Second)))
		}
		if err := s.add(ctx, due-n, next); err != nil {
			return err
		}
		n = due
	}
	return nil
}

// Names returns the names of the first n streams with that prefix.
func Names(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i)
	}
	return names
}
