package page

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

// Page is a report.
type Page struct {
	Title   string
	Machine string
	Made    time.Time
	Parts   []Part
}

// Part is one measurement.
type Part struct {
	Name    string
	Command string // command line that repeats it
	Redis   string // version
	Plots   []Plot
	Blocks  []Block
}

// Block is one of a table, goals or text. A part shows its blocks in order.
type Block struct {
	Table template.HTML // a whole table element, with escaped cells
	Goals []Goal
	Text  string
}

// Goal is a figure beside its goal.
type Goal struct {
	Met  bool
	Text string
}

// Plot is a figure: Lines or Bars.
type Plot interface {
	// drawn returns the name of a template and its data.
	drawn() (template string, data any)
}

//go:embed page.html
var text string

var parsed = template.Must(template.New("page").Funcs(template.FuncMap{
	"draw": draw,
	"anchor": func(i int) int {
		return i + 1
	},
}).Parse(text))

// draw is called by the page for each plot.
func draw(p Plot) drawing {
	name, data := p.drawn()
	return drawing{name == "lines", data}
}

type drawing struct {
	Lines bool
	Data  any
}

// Write writes the page.
func (p Page) Write(w io.Writer) error { return parsed.ExecuteTemplate(w, "page", p) }

// Met is the number of goals that were met.
func (p Part) Met() (n int) {
	for _, g := range p.goals() {
		if g.Met {
			n++
		}
	}
	return n
}

// Aimed is the number of goals.
func (p Part) Aimed() int { return len(p.goals()) }

func (p Part) goals() (all []Goal) {
	for _, b := range p.Blocks {
		all = append(all, b.Goals...)
	}
	return all
}
