package page

import "fmt"

// Bars is a plot of amounts, each with its text. A bar is an element of the page and not a drawing, so its text is as large as any other
// text.
type Bars struct {
	Title string
	Log   bool // bars are as long as the logarithms, from the power of ten below the smallest value
	Bars  []Bar
}

// Bar is one amount.
type Bar struct {
	Name  string
	Value float64
	Text  string
	Mark  int // 0 to 3: the pattern
}

type drawnBars struct {
	Bars
	Note string
	Rows []drawnBar
}

type drawnBar struct {
	Bar
	Share string // of the full width
}

func (b Bars) drawn() (string, any) {
	values := make([]float64, len(b.Bars))
	for i, bar := range b.Bars {
		values[i] = bar.Value
	}
	a := newAxis(values, b.Log, 0, 100)
	d := drawnBars{Bars: b}
	if b.Log {
		d.Note = "logarithmic: each tick is ten times the one before"
	}
	for _, bar := range b.Bars {
		d.Rows = append(d.Rows, drawnBar{bar, fmt.Sprintf("%.1f%%", min(max(a.position(bar.Value), 0.5), 100))})
	}
	return "bars", d
}

// Decades is how many powers of ten the axis spans; 0 if it is not logarithmic.
func (d drawnBars) Decades() int {
	if !d.Log {
		return 0
	}
	values := make([]float64, len(d.Rows))
	for i, r := range d.Rows {
		values[i] = r.Value
	}
	return len(newAxis(values, true, 0, 100).ticks()) - 1
}
