package handling

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
)

// loadEvery is how often messages are sent.
const loadEvery = 20 * time.Millisecond

// load sends messages to streams at random, numbered for each stream. A number whose answer got lost is sent again, so it may be there twice:
// what is there counts.
type load struct {
	client rueidis.Client
	name   func(stream int) string
	rnd    *rand.Rand
	sent   []int // by stream: the last number that was acknowledged
	lost   int   // messages without an answer, or refused
}

// run sends so many messages a second until ctx ends.
func (l *load) run(ctx context.Context, rate int) error {
	due := 0.0
	for last := time.Now(); ; {
		if measure.Pause(ctx, loadEvery) != nil {
			return nil
		}
		now := time.Now()
		due = min(due+float64(rate)*now.Sub(last).Seconds(), 1000)
		last = now
		n := int(due)
		due -= float64(n)
		l.send(n)
	}
}

// send sends n messages to different streams. What fails has no number.
func (l *load) send(n int) {
	chosen := make(map[int]bool, n)
	var streams []int
	var commands rueidis.Commands
	for len(streams) < min(n, len(l.sent)/2+1) {
		s := l.rnd.IntN(len(l.sent))
		if chosen[s] {
			continue
		}
		chosen[s] = true
		streams = append(streams, s)
		commands = append(commands, l.client.B().Xadd().Key(l.name(s)).Id("*").FieldValue().
			FieldValue("n", strconv.Itoa(l.sent[s]+1)).Build())
	}
	if len(commands) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for i, r := range l.client.DoMulti(ctx, commands...) {
		if r.Error() != nil {
			l.lost++
			continue
		}
		l.sent[streams[i]]++
	}
}

// there returns the IDs of all messages of each stream, and how many acknowledged ones are not there.
func (l *load) there(ctx context.Context) (all [][]id, forgotten int, err error) {
	const page = 500
	for from := 0; from < len(l.sent); from += page {
		var commands rueidis.Commands
		for s := from; s < min(from+page, len(l.sent)); s++ {
			commands = append(commands, l.client.B().Xrange().Key(l.name(s)).Start("-").End("+").Build())
		}
		for i, r := range l.client.DoMulti(ctx, commands...) {
			entries, err := r.AsXRange()
			if err != nil {
				return nil, 0, fmt.Errorf("reading %s: %w", l.name(from+i), err)
			}
			ids := make([]id, len(entries))
			numbers := make(map[string]bool)
			for k, e := range entries {
				if ids[k], err = parseID(e.ID); err != nil {
					return nil, 0, err
				}
				numbers[e.FieldValues["n"]] = true
			}
			all = append(all, ids)
			forgotten += max(0, l.sent[from+i]-len(numbers))
		}
	}
	return all, forgotten, nil
}
