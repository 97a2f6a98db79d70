package console

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// chart is the shares of processes over time, ready to be drawn: coordinates in a box of chartWidth × chartHeight.
type chart struct {
	Lines    []chartLine
	Marks    []chartMark // of the scale
	From, To time.Time
	Points   int
}

type chartLine struct {
	Name   string // of the process; empty: all others, drawn by what each of them holds on average
	Class  string
	Path   string // of an SVG
	Held   int    // in the last sample; of the others, all together
	Here   bool   // it was in the last sample
	Others int    // how many the others are
}

type chartMark struct {
	Y    string
	Text string
}

const (
	chartWidth  = 720
	chartHeight = 200
)

func (h *history) chart() (c chart) {
	points := h.drawn()
	if len(points) == 0 {
		return c
	}
	leaders := h.leaders()
	first, last := points[0], points[len(points)-1]
	c.From, c.To, c.Points = first.at, last.at, len(points)
	values := make([][]int, len(leaders)+1) // by line, then by point; -1: none
	most, sum, more := 1, 0, 0
	for _, p := range points {
		sum, more = p.others, p.more+len(p.held)
		for _, held := range p.held {
			sum += held
		}
		for i, name := range leaders {
			held, ok := p.held[name]
			if ok {
				sum, more = sum-held, more-1
			} else {
				held = -1
			}
			values[i] = append(values[i], held)
			most = max(most, held)
		}
		mean := -1
		if more > 0 {
			mean = sum / more
		}
		values[len(leaders)] = append(values[len(leaders)], mean)
		most = max(most, mean)
	}
	top := niceAbove(most)
	for i, line := range values {
		if slices.Max(line) < 0 {
			continue
		}
		l := chartLine{Class: fmt.Sprintf("line-%d", i%mostLines), Path: drawPath(points, line, top), Held: line[len(line)-1]}
		l.Here = l.Held >= 0
		if i < len(leaders) {
			l.Name = leaders[i]
		} else {
			l.Class, l.Others, l.Held = "line-others", more, sum
		}
		c.Lines = append(c.Lines, l)
	}
	for _, part := range []float64{0, 0.5, 1} {
		c.Marks = append(c.Marks, chartMark{Y: coordinate(height(part*float64(top), top)), Text: number(part * float64(top))})
	}
	return c
}

// drawPath draws a line. It is interrupted where nobody watched, and where the process was not there.
func drawPath(points []point, values []int, top int) string {
	first := points[0].at
	span := max(points[len(points)-1].at.Sub(first).Seconds(), 1)
	var b strings.Builder
	down := false
	for i, p := range points {
		if values[i] < 0 {
			down = false
			continue
		}
		x := p.at.Sub(first).Seconds() / span * chartWidth
		y := height(float64(values[i]), top)
		if !down || p.after {
			fmt.Fprintf(&b, "M%s %s", coordinate(x), coordinate(y))
		}
		fmt.Fprintf(&b, "L%s %s", coordinate(x), coordinate(y))
		down = true
	}
	return b.String()
}

func height(value float64, top int) float64 { return chartHeight - value/float64(top)*chartHeight }

func coordinate(x float64) string { return fmt.Sprintf("%.1f", x) }

// niceAbove returns the next number of 1, 2, 4, 6 or 10 times a power of ten.
func niceAbove(n int) int {
	power := math.Pow(10, math.Floor(math.Log10(float64(n))))
	for _, m := range []float64{1, 2, 4, 6, 10} {
		if float64(n) <= m*power {
			return max(int(m*power), 2)
		}
	}
	return n
}
