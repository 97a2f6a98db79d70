package scan

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Settling returns until when partitions settle, by the server's clock: their server was replaced or restarted, and nobody takes a
// free stream there meanwhile. Those that do not settle are missing. What fails is missing, too, and the error says why. Errors match
// ErrUnknownService, or are those of the client.
func (i *Inspector) Settling(ctx context.Context) (map[int]time.Time, error) {
	until := make(map[int]time.Time)
	_, err := eachPartition(ctx, i, "settling", settlingCall, func(p int, result rueidis.RedisResult) ([]struct{}, error) {
		parts, err := result.ToArray()
		if err != nil || len(parts) < 2 {
			return nil, orMalformed(err)
		}
		_, end, err := parseSettling(parts)
		if !end.IsZero() {
			until[p] = end
		}
		return nil, err
	})
	return until, err
}

func settlingCall(layout *cluster.Layout, p int) lease.Call {
	return lease.Call{Script: scriptSettling, Keys: []string{layout.Keys(p).Sessions}}
}

// parseSettling reads the answer of the script: the server's clock, and until when the partition settles; zero: it does not.
func parseSettling(parts []rueidis.RedisMessage) (now, until time.Time, err error) {
	ms, err := parts[0].AsInt64()
	if err != nil {
		return now, until, err
	}
	if end, _ := strconv.ParseFloat(textOf(parts, 1), 64); end > float64(ms) {
		until = momentOf(end)
	}
	return time.UnixMilli(ms), until, nil
}
