package feed

import (
	"context"
	_ "embed"
	"errors"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/lease"
)

//go:embed trim.lua
var trimText string

//go:embed stored.lua
var storedText string

var (
	scriptTrim   = lease.NewScript("trim", trimText)
	scriptStored = lease.NewScript("stored", storedText)
)

// trimStore trims on the servers of an engine.
type trimStore struct{ engine *engine.Engine }

func (t trimStore) open() trimSteps {
	layout, err := cluster.NewLayout(t.engine.Service(), t.engine.Partitions())
	if err != nil { // a bug: the engine has one
		panic(err)
	}
	return redisTrims{layout, lease.NewRunner(t.engine.Client(), nil).Hooked(t.engine.ScriptHook())}
}

// redisTrims is what a trimmer asks of Redis.
type redisTrims struct {
	layout *cluster.Layout
	runner *lease.Runner
}

// Stored reads checkpoints, those of a partition in one call.
func (r redisTrims) Stored(ctx context.Context, streams []string) ([]string, error) {
	byPartition := make(map[int][]int)
	for i, stream := range streams {
		p := r.layout.Of(stream)
		byPartition[p] = append(byPartition[p], i)
	}
	var calls []lease.Call
	var order [][]int
	for p, all := range byPartition {
		fields := make([]string, len(all))
		for j, i := range all {
			fields[j] = "s" + streams[i]
		}
		calls = append(calls, lease.Call{Script: scriptStored, Keys: []string{r.layout.Keys(p).Checkpoints}, Args: fields})
		order = append(order, all)
	}
	stored := make([]string, len(streams))
	for c, answer := range r.runner.DoMulti(ctx, calls) {
		values, err := answer.ToArray()
		if err != nil {
			return nil, err
		}
		if len(values) != len(order[c]) {
			return nil, errors.New("feed: as many checkpoints as were asked for are not in the answer")
		}
		for j, i := range order[c] {
			text, err := values[j].ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return nil, err
			}
			stored[i] = text
		}
	}
	return stored, nil
}

// Trim deletes what precedes positions.
func (r redisTrims) Trim(ctx context.Context, streams []string, at []position.ID) (gone []bool, errs []error) {
	gone, errs = make([]bool, len(streams)), make([]error, len(streams))
	calls := make([]lease.Call, len(streams))
	for i, stream := range streams {
		calls[i] = lease.Call{Script: scriptTrim, Keys: []string{stream}, Args: []string{at[i].String()}}
	}
	for i, answer := range r.runner.DoMulti(ctx, calls) {
		var n int64
		n, errs[i] = answer.AsInt64()
		gone[i] = n < 0
	}
	return gone, errs
}
