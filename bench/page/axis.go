package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// axis maps values to positions.
type axis struct {
	log      bool
	from, to float64 // values
	at, end  float64 // positions
}

// newAxis makes an axis that covers all values, and 0 unless it is logarithmic.
func newAxis(values []float64, log bool, at, end float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || log && v <= 0 {
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	a := axis{log: log, at: at, end: end}
	switch {
	case low > high: // nothing to show
		a.from, a.to = 1, 10
		if !log {
			a.from = 0
		}
	case log:
		a.from, a.to = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		if a.from == a.to {
			a.to *= 10
		}
	default:
		a.from, a.to = min(0, low), max(0, high)
		if a.from == a.to {
			a.to = 1
		}
		step := a.step()
		a.from, a.to = math.Floor(a.from/step)*step, math.Ceil(a.to/step)*step
	}
	return a
}

// step is 1, 2 or 5 times a power of ten, for at most six ticks.
func (a axis) step() float64 {
	rough := (a.to - a.from) / 5
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough {
			return m * power
		}
	}
	return 10 * power
}

// position returns the position of a value. Values below a logarithmic axis are at its start.
func (a axis) position(v float64) float64 {
	share := (v - a.from) / (a.to - a.from)
	if a.log {
		share = 0
		if v > a.from {
			share = math.Log(v/a.from) / math.Log(a.to/a.from)
		}
	}
	return math.Round(10*(a.at+share*(a.end-a.at))) / 10
}

// tick is a value with a label.
type tick struct {
	At   float64
	Text string
}

func (a axis) ticks() (all []tick) {
	if a.log {
		for v := a.from; v <= a.to*1.001; v *= 10 {
			all = append(all, tick{a.position(v), short(v)})
		}
		return all
	}
	step := a.step()
	for i := 0; ; i++ {
		v := a.from + float64(i)*step
		if v > a.to+step/1000 {
			return all
		}
		all = append(all, tick{a.position(v), short(v)})
	}
}

// short is a number in few characters: 1.5k, 20M.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return trimmed(v/unit.size) + unit.name
		}
	}
	return trimmed(v)
}

func trimmed(v float64) string {
	if math.Abs(v) >= 1 || v == 0 {
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
	}
	return fmt.Sprintf("%.3g", v)
}
