package suite

import (
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/target"
)

// probeEvery is how often the probe asks: often enough to meet delays of a millisecond, and too seldom to be a load.
const probeEvery = time.Millisecond

// Probed is what another tenant of the server sees: percentiles of the time until an answer.
type Probed struct {
	Calls               int
	P50, P99, P999, Max time.Duration
}

// probe is another tenant: it sends PING and GET in turn, one at a time, on a connection of its own.
func probe(ctx context.Context, s *target.Target, d time.Duration) (ping, get Probed, err error) {
	option, err := s.ClientOption()
	if err != nil {
		return ping, get, err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return ping, get, err
	}
	defer client.Close()
	key := s.Name + "-tenant"
	if err := client.Do(ctx, client.B().Set().Key(key).Value("x").Ex(d+time.Minute).Build()).Error(); err != nil {
		return ping, get, err
	}
	defer func() { _ = client.Do(context.WithoutCancel(ctx), client.B().Del().Key(key).Build()).Error() }() // if that fails, it expires
	var pings, gets []time.Duration
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ping, get, ctx.Err()
		}
		began := time.Now()
		if err := client.Do(ctx, client.B().Ping().Build()).Error(); err != nil {
			return ping, get, err
		}
		middle := time.Now()
		if err := client.Do(ctx, client.B().Get().Key(key).Build()).Error(); err != nil {
			return ping, get, err
		}
		pings, gets = append(pings, middle.Sub(began)), append(gets, time.Since(middle))
	}
	return probed(pings), probed(gets), nil
}

func probed(took []time.Duration) Probed {
	slices.Sort(took)
	return Probed{
		Calls: len(took),
		P50:   measure.Quantile(took, .5), P99: measure.Quantile(took, .99), P999: measure.Quantile(took, .999), Max: measure.Quantile(took, 1),
	}
}
