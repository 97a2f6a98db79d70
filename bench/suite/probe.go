package suite

import (
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// probeEvery is how often the probe asks: often enough to meet what lasts for a millisecond, and no load.
const probeEvery = time.Millisecond

// Probed is what another tenant of the server saw: percentiles of the time until it was answered.
type Probed struct {
	Calls               int
	P50, P99, P999, Max time.Duration
}

// probe is another tenant: it asks PING and GET in turn, one at a time, on a connection of its own.
func probe(ctx context.Context, option rueidis.ClientOption, d time.Duration) (ping, get Probed, err error) {
	client, err := rueidis.NewClient(option)
	if err != nil {
		return ping, get, err
	}
	defer client.Close()
	if err := client.Do(ctx, client.B().Set().Key("another-tenant").Value("x").Build()).Error(); err != nil {
		return ping, get, err
	}
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
		if err := client.Do(ctx, client.B().Get().Key("another-tenant").Build()).Error(); err != nil {
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
		P50:   quantile(took, .5), P99: quantile(took, .99), P999: quantile(took, .999), Max: quantile(took, 1),
	}
}
