package balance

import (
	"context"
	"math"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/journal"
)

// cost is what the server has used up to a moment.
type cost struct {
	at    time.Duration
	redis measure.Usage
}

func (s *scene) cost(ctx context.Context) (c cost, err error) {
	c.redis, err = measure.ReadUsage(ctx, s.target.Client)
	c.at = journal.Monotonic()
	return c, err
}

// meterEvery is how often the meter is read at most. Each time costs the server some 0.1 ms, whether streams move or not.
const meterEvery = time.Second

// meter reads what the server uses while streams move.
type meter struct {
	scene *scene
	costs []cost
}

func (m *meter) read(ctx context.Context) error {
	if n := len(m.costs); n > 0 && journal.Monotonic() < m.costs[n-1].at+meterEvery {
		return nil
	}
	c, err := m.scene.cost(ctx)
	if err == nil {
		m.costs = append(m.costs, c)
	}
	return err
}

const (
	// leastMoves and leastWindows are how many there have to be to say what a move costs.
	leastMoves   = 500
	leastWindows = 5
)

// window is the time between two readings of the meter.
type window struct {
	seconds float64
	moves   float64
	used    measure.Usage
}

// moveCost is what each move costs, besides what the fleet costs when nothing moves; nil: too little was seen to say.
func moveCost(costs []cost, moves []move) *MoveCost {
	var windows []window
	sum := 0.
	for i := 1; i < len(costs); i++ {
		from, until := costs[i-1], costs[i]
		w := window{seconds: (until.at - from.at).Seconds(), used: until.redis.Since(from.redis)}
		for _, m := range moves {
			if m.at > from.at && m.at <= until.at {
				w.moves++
			}
		}
		sum += w.moves
		windows = append(windows, w)
	}
	if sum < leastMoves || len(windows) < leastWindows {
		return nil
	}
	cpu, off := slope(windows, func(u measure.Usage) float64 { return float64(u.CPU) })
	sent, _ := slope(windows, func(u measure.Usage) float64 { return float64(u.Sent(measure.SentByEngine()...).Total()) })
	ran, _ := slope(windows, func(u measure.Usage) float64 { return float64(u.Calls.Total()) })
	return &MoveCost{Commands: sent, Ran: ran, CPU: time.Duration(cpu), Off: time.Duration(off)}
}

// slope fits a figure of the windows as so much a second and so much a move, by least squares, and returns that of a move and its standard error.
func slope(windows []window, of func(measure.Usage) float64) (each, off float64) {
	var tt, tm, mm, ty, my float64
	for _, w := range windows {
		y := of(w.used)
		tt, tm, mm = tt+w.seconds*w.seconds, tm+w.seconds*w.moves, mm+w.moves*w.moves
		ty, my = ty+w.seconds*y, my+w.moves*y
	}
	det := tt*mm - tm*tm
	if det == 0 {
		return 0, 0
	}
	rest, each := (ty*mm-my*tm)/det, (my*tt-ty*tm)/det
	var residue float64
	for _, w := range windows {
		d := of(w.used) - rest*w.seconds - each*w.moves
		residue += d * d
	}
	return each, math.Sqrt(residue / float64(len(windows)-2) * tt / det)
}
