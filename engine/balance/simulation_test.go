package balance_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/balance"
)

var (
	update = flag.Bool("update", false, "rewrite the golden tables")
	seed   = flag.Uint64("seed", usual, "what the simulations draw from; with another one than usual, tables are not compared, and targets are")
)

const usual = 7

// What the fleets of a simulation are balanced by.
var (
	all      = balance.Config{}
	gateOnly = balance.Config{Shed: balance.Off}
	nothing  = balance.Config{Gate: balance.Off, Shed: balance.Off}
)

// golden compares a table with what it was.
func golden(t *testing.T, name string, rows ...row) {
	t.Helper()
	if *seed != usual {
		t.Log(table(rows...))
		return
	}
	path := filepath.Join("testdata", name+".txt")
	got := table(rows...)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test ./engine/balance -update")
	require.Equal(t, string(want), got, "if that is meant: go test ./engine/balance -update")
}

// balancedWithin fails unless everybody came within a tenth of its share in so many seconds, and stayed.
func (r row) balancedWithin(t *testing.T, seconds float64) {
	t.Helper()
	require.True(t, r.balanced >= 0 && r.balanced <= seconds, "%s: balanced after %v s, %v is the target", r.name, r.balanced, seconds)
}

// spreadWithin fails unless everybody has between these shares in the end.
func (r row) spreadWithin(t *testing.T, least, greatest float64) {
	t.Helper()
	require.True(t, r.least >= least && r.greatest <= greatest, "%s: %.3f to %.3f shares", r.name, r.least, r.greatest)
}

func TestScaleOut(t *testing.T) {
	run := func(name string, c balance.Config, from, to, streams int) row {
		f := settled(c, from, streams, 0, 1)
		f.joinAll(to - from)
		f.run(400)
		return f.result(name)
	}
	r := run("1 -> 4, 10,000 streams", all, 1, 4, 10_000)
	r.balancedWithin(t, 75)
	require.Equal(t, 1, r.most, "no stream moves twice")
	require.LessOrEqual(t, r.peak, 1.06, "receivers take no more than their share")
	require.LessOrEqual(t, r.p99, 30)
	require.Zero(t, r.leftovers)

	off := run("1 -> 4, shedding off", gateOnly, 1, 4, 10_000)
	require.Zero(t, off.moved)

	four := run("4 -> 5", all, 4, 5, 10_000)
	four.balancedWithin(t, 180)
	require.Equal(t, 1, four.most)

	// Nobody holds a tenth too much then: they give because somebody is idle.
	eleven := run("10 -> 11", all, 10, 11, 10_000)
	eleven.balancedWithin(t, 180)
	require.Equal(t, 1, eleven.most)

	f := settled(all, 1, 10_000, 0, 1)
	for range 3 {
		f.join(1)
		f.run(20)
	}
	f.run(400)
	late := f.result("1 -> 4, one each 20 s")
	late.balancedWithin(t, 180)
	require.LessOrEqual(t, late.most, 2)

	f = settled(all, 3, 10_000, 0, 1)
	f.join(4)
	f.run(400)
	weights := f.result("3 of weight 1, one of weight 4 joins")
	weights.balancedWithin(t, 75)
	weights.spreadWithin(t, 0.95, 1.06)
	require.Equal(t, 1, weights.most)

	golden(t, "scale-out", r, off, four, eleven, late, weights)
}

func TestScaleIn(t *testing.T) {
	f := settled(all, 4, 10_000, 0, 1)
	f.drain(f.live[0])
	f.run(300)
	drained := f.result("4 -> 3, one drains")
	require.Zero(t, drained.leftovers, "nothing waits for the handicap")
	require.LessOrEqual(t, drained.p99, 500)
	drained.spreadWithin(t, 0.98, 1.02)
	require.Equal(t, 2500, drained.moved)

	f = settled(nothing, 4, 10_000, 0, 1)
	f.drain(f.live[0])
	f.run(300)
	ungated := f.result("4 -> 3, one drains, all off")

	f = settled(all, 4, 10_000, 0, 1)
	f.kill(f.live[0])
	f.run(300)
	killed := f.result("4 -> 3, one is killed")
	killed.balancedWithin(t, 20)
	killed.spreadWithin(t, 0.98, 1.02)
	require.Equal(t, 2500, killed.moved)

	f = settled(all, 20, 10_000, 0, 1)
	for range 5 {
		f.kill(f.live[f.random.IntN(len(f.live))])
	}
	f.run(300)
	five := f.result("20 -> 15, five are killed at once")
	five.balancedWithin(t, 20)
	require.Equal(t, 2500, five.moved)

	f = settled(all, 10, 10_000, 0, 1)
	for range 3 {
		joined := f.joinAll(4)
		f.run(180)
		for _, p := range joined {
			f.drain(p)
		}
		f.run(180)
	}
	scaler := f.result("10 <-> 14, 3 min each, three times")
	require.LessOrEqual(t, scaler.moves, 1.75, "the least that makes it even each time is 1.71")
	require.LessOrEqual(t, scaler.most, 3)

	golden(t, "scale-in", drained, ungated, killed, five, scaler)
}

// The biggest fleet.
func TestScaleOutOfAMillionStreams(t *testing.T) {
	if raceDetector {
		t.Skip("NOT RUN under the race detector: it is one goroutine, and would take a minute")
	}
	f := settled(all, 1000, 1_000_000, 0, 1)
	f.joinAll(100)
	f.run(600)
	slow := f.result("1,000 -> 1,100")
	slow.balancedWithin(t, 420)
	require.Equal(t, 1, slow.most)
	require.LessOrEqual(t, slow.moves, 0.095)

	f = settled(balance.Config{Budget: 2000}, 1000, 1_000_000, 0, 1)
	f.joinAll(100)
	f.run(400)
	quick := f.result("1,000 -> 1,100, Budget 2,000")
	quick.balancedWithin(t, 260)
	require.Equal(t, 1, quick.most)
	golden(t, "million", slow, quick)
}
