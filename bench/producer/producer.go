package producer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// chunk is how many commands are in flight at once: below the size of the ring of the client, 1,024.
const chunk = 512

// Producer sends to one service.
type Producer struct {
	Client  rueidis.Client // the caller closes it
	Service string
	Prefix  string // of the names of data streams
	// Info returns the Info of the announcement of stream i as JSON. nil: the constant Info for all.
	Info func(i int) string
	// Input returns the input stream of a data stream. nil: all have that of the only partition.
	Input func(stream string) string
}

// Stream is the name of data stream i: the prefix and the number.
func (p Producer) Stream(i int) string { return p.Prefix + strconv.Itoa(i) }

// Info is the Info of an announcement where Producer.Info is nil.
const Info = `{"k":"v"}`

// Announce announces streams from (included) to upTo (excluded) and returns how long that took. It is a plain loop that builds
// commands and sends them in pipelines.
func (p Producer) Announce(ctx context.Context, from, upTo int) (time.Duration, error) {
	return p.send(ctx, upTo-from, func(i int) rueidis.Completed { return p.announcement(from + i) })
}

// AnnounceEach announces these streams, one after the other; a stream may be among them more than once.
func (p Producer) AnnounceEach(ctx context.Context, streams []int) error {
	_, err := p.send(ctx, len(streams), func(i int) rueidis.Completed { return p.announcement(streams[i]) })
	return err
}

func (p Producer) announcement(i int) rueidis.Completed {
	announcement := `{"DataStreamName":` + strconv.Quote(p.Stream(i)) + `,"Info":` + p.info(i) + `}`
	return p.Client.B().Xadd().Key(p.input(p.Stream(i))).Id("*").FieldValue().FieldValue("lbs-input", announcement).Build()
}

func (p Producer) input(stream string) string {
	if p.Input == nil {
		return p.Service + "-input"
	}
	return p.Input(stream)
}

func (p Producer) info(i int) string {
	if p.Info == nil {
		return Info
	}
	return p.Info(i)
}

// Fill adds messages to each of the first data streams, with the numbers from (included) to upTo (excluded) in their field "n", and returns
// how long that took.
func (p Producer) Fill(ctx context.Context, streams, from, upTo int) (time.Duration, error) {
	each := upTo - from
	return p.send(ctx, streams*each, func(i int) rueidis.Completed {
		return p.Client.B().Xadd().Key(p.Stream(i/each)).Id("*").FieldValue().
			FieldValue("n", strconv.Itoa(from+i%each)).Build()
	})
}

func (p Producer) send(ctx context.Context, n int, build func(i int) rueidis.Completed) (time.Duration, error) {
	began := time.Now()
	for next := 0; next < n; {
		commands := make(rueidis.Commands, min(chunk, n-next))
		for i := range commands {
			commands[i] = build(next + i)
		}
		next += len(commands)
		for _, result := range p.Client.DoMulti(ctx, commands...) {
			if err := result.Error(); err != nil {
				return 0, fmt.Errorf("announcing: %w", err)
			}
		}
	}
	return time.Since(began), nil
}
