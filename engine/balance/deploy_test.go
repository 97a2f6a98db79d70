package balance_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/balance"
)

// deploy replaces all processes, some at a time: each step lasts so many seconds. Either the new ones are there five seconds before the
// old ones leave, as in a rolling update that may surge, or five seconds after, as in a set of pods with fixed names.
func deploy(c balance.Config, processes, every, atATime int, surge bool) row {
	f := settled(c, processes, 10_000, 0, 1)
	before := f.live
	for ; len(before) > 0; before = before[atATime:] {
		if surge {
			f.joinAll(atATime)
			f.run(5)
		}
		for _, p := range before[:atATime] {
			f.drain(p)
		}
		if !surge {
			f.run(5)
			f.joinAll(atATime)
		}
		f.run(float64(every - 5))
	}
	f.mark = f.now
	f.run(400)
	name := fmt.Sprintf("%d processes, %d at a time, %d s a step", processes, atATime, every)
	if !surge {
		name += ", old first"
	}
	if c.Gate == balance.Off {
		name += ", all off"
	}
	return f.result(name)
}

func TestRollingDeploy(t *testing.T) {
	rows := []row{
		deploy(all, 4, 35, 1, true),
		deploy(all, 20, 15, 1, true),
		deploy(all, 20, 95, 1, true),
		deploy(all, 20, 155, 1, true),
		deploy(all, 20, 15, 5, true),
	}
	for _, r := range rows {
		require.LessOrEqual(t, r.moves, 1.05, r.name)
		require.LessOrEqual(t, r.most, 2, r.name)
		r.spreadWithin(t, 0.95, 1.05)
		r.balancedWithin(t, 0)
		require.Zero(t, r.leftovers, r.name)
	}
	rows = append(rows, deploy(nothing, 4, 35, 1, true), deploy(nothing, 20, 15, 1, true), deploy(nothing, 20, 155, 1, true), deploy(nothing, 20, 15, 5, true))
	golden(t, "deploy", rows...)
}

// The streams of the first that leaves go to processes that will leave, too, and the last that comes finds nothing: so the best mean is 1
// and two parts of all.
func TestRollingDeployThatStopsTheOldFirst(t *testing.T) {
	rows := []row{
		deploy(all, 4, 35, 1, false),
		deploy(all, 20, 15, 1, false),
		deploy(all, 20, 95, 1, false),
		deploy(all, 20, 15, 5, false),
	}
	for i, best := range []float64{1.5, 1.1, 1.1, 1.5} {
		r := rows[i]
		require.LessOrEqual(t, r.moves, best+0.05, r.name)
		require.LessOrEqual(t, r.most, 4, r.name)
		r.balancedWithin(t, 180)
	}
	// Here it is quiet for long enough between two steps: each process that comes is filled, just before the next one leaves.
	slow := deploy(all, 20, 155, 1, false)
	require.LessOrEqual(t, slow.moves, 2.0)
	rows = append(rows, slow, deploy(nothing, 20, 15, 1, false), deploy(nothing, 20, 155, 1, false))
	golden(t, "deploy-old-first", rows...)
}
