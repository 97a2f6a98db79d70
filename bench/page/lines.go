package page

import (
	"fmt"
	"math"
	"strings"
)

// Lines is a plot of values over other values. Series from the fifth on look like earlier ones.
type Lines struct {
	Title      string
	X, Y       string // what the axes mean, with units
	LogX, LogY bool
	Series     []Series
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point
}

// Point is one point of a line.
type Point struct{ X, Y float64 }

// Size of a plot in its own units. When the plot is 440 pixels wide, its text is as large as the text around it; it remains readable on a
// phone.
const (
	width, height            = 440, 280
	left, right, top, bottom = 52, 16, 14, 44
)

type drawnLines struct {
	Lines
	Width, Height            float64
	Left, Right, Top, Bottom float64
	XTicks, YTicks           []tick
	Paths                    []path
}

type path struct {
	Name  string
	Class int // 0 to 3: colour, dash and mark
	D     string
	Marks []mark
}

type mark struct {
	D    string
	Text string
}

func (l Lines) drawn() (string, any) {
	var xs, ys []float64
	for _, s := range l.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	x, y := newAxis(xs, l.LogX, left, width-right), newAxis(ys, l.LogY, height-bottom, top)
	d := drawnLines{Lines: l, Width: width, Height: height, Left: left, Right: width - right, Top: top, Bottom: height - bottom,
		XTicks: x.ticks(), YTicks: y.ticks()}
	for i, s := range l.Series {
		p := path{Name: s.Name, Class: i % 4}
		var steps []string
		for _, point := range s.Points {
			if math.IsNaN(point.X) || math.IsNaN(point.Y) {
				continue
			}
			px, py := x.position(point.X), y.position(point.Y)
			steps = append(steps, fmt.Sprintf("%g %g", px, py))
			p.Marks = append(p.Marks, mark{shape(p.Class, px, py), fmt.Sprintf("%s: %s at %s", s.Name, short(point.Y), short(point.X))})
		}
		if len(steps) > 0 {
			p.D = "M" + strings.Join(steps, "L")
		}
		if len(p.Marks) > 40 {
			p.Marks = nil // so many points show the shape without marks
		}
		d.Paths = append(d.Paths, p)
	}
	return "lines", d
}

// shape is the outline of a mark: a circle, a square, a triangle or a diamond.
func shape(class int, x, y float64) string {
	switch class {
	case 0:
		return fmt.Sprintf("M%g %ga4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x-4, y)
	case 1:
		return fmt.Sprintf("M%g %gh7v7h-7z", x-3.5, y-3.5)
	case 2:
		return fmt.Sprintf("M%g %gl4.5 8h-9z", x, y-5)
	}
	return fmt.Sprintf("M%g %gl5 5l-5 5l-5 -5z", x, y-5)
}

// Swatch is the mark of a series in the legend.
func (p path) Swatch() string { return shape(p.Class, 14, 7) }
