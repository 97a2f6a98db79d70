package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/scan"
)

// windows are the times for which the page of moves can look back.
var windows = []time.Duration{10 * time.Minute, 30 * time.Minute, 2 * time.Hour, 24 * time.Hour}

// movesView is what the page of moves shows.
type movesView struct {
	Turnover scan.Turnover
	Rows     []scan.Taken // most taken first
	More     int          // rows that are not shown
	Taken    int          // by all
	Bars     []moveBar
	Top      int // of the scale
	Windows  []windowLink
}

// moveBar is a step of time, with what was taken in it.
type moveBar struct {
	X, Y, Width, Height string
	Taken               int
	From                time.Time
}

type windowLink struct {
	Text, Link string
	Here       bool
}

// movesPage shows what changed hands lately. It reads what is pending, so it is read on demand.
func movesPage(s *site, r *http.Request) (*view, error) {
	window := windows[1]
	if text := r.URL.Query().Get("minutes"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(windows, time.Duration(minutes)*time.Minute) {
			return nil, badRequest("Moves can be shown of 10, 30, 120 or 1440 minutes.")
		}
		window = time.Duration(minutes) * time.Minute
	}
	ctx, done := s.bounded(r)
	defer done()
	t, err := s.inspect().Turnover(ctx, window)
	if err != nil {
		return nil, err
	}
	data := &movesView{Turnover: t, Rows: t.Processes}
	slices.SortStableFunc(data.Rows, func(a, b scan.Taken) int { return cmp.Compare(b.Taken, a.Taken) })
	if len(data.Rows) > mostRows {
		data.Rows, data.More = data.Rows[:mostRows], len(data.Rows)-mostRows
	}
	data.bars()
	for _, w := range windows {
		data.Windows = append(data.Windows, windowLink{span(w), link("moves", "minutes", strconv.Itoa(int(w.Minutes()))), w == window})
	}
	return &view{template: "moves", title: "What changed hands", here: "fleet", data: data}, nil
}

func (m *movesView) bars() {
	steps := m.Turnover.Steps
	if len(steps) == 0 {
		return
	}
	top := niceAbove(max(slices.Max(steps), 1))
	m.Top = top
	width := float64(chartWidth) / float64(len(steps))
	for i, n := range steps {
		y := height(float64(n), top)
		m.Taken += n
		m.Bars = append(m.Bars, moveBar{
			X: coordinate(float64(i)*width + 1), Y: coordinate(y), Width: coordinate(width - 2), Height: coordinate(chartHeight - y),
			Taken: n, From: m.Turnover.At.Add(-m.Turnover.Window + time.Duration(i)*m.Turnover.Step),
		})
	}
}
