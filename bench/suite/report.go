package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/page"
)

// Report is where results go. A report may take the results of several measurements, one after the other.
type Report struct {
	Out      io.Writer
	Progress io.Writer // a terminal; nil: nobody looks at one
	JSON     bool
	Dir      string // where files of everything so far are written, too; empty: nowhere
	Command  string // as it was called, to be repeated
	Redis    string // version

	parts []part
}

// Write writes results as JSON, or as people read them. The plots are for the page alone.
func (r *Report) Write(results any, people func(io.Writer), plots ...page.Plot) error {
	rec := &recorder{out: r.Out}
	if r.JSON {
		rec.out = io.Discard
		encode := json.NewEncoder(r.Out)
		encode.SetIndent("", "  ")
		if err := encode.Encode(struct {
			Command, Machine, Redis string
			Results                 any
		}{r.Command, measure.Machine(), r.Redis, results}); err != nil {
			return err
		}
	}
	fmt.Fprintf(rec.out, "$ %s\n%s, Redis %s\n\n", r.Command, measure.Machine(), r.Redis)
	people(rec)
	rec.flush()
	if _, err := fmt.Fprintln(rec.out); err != nil {
		return err
	}
	r.parts = append(r.parts, part{Command: r.Command, Redis: r.Redis, Results: results, plots: plots, blocks: rec.blocks})
	if r.Dir == "" {
		return nil
	}
	return r.save()
}

// goal says whether a figure is what was aimed at. It fails nothing: figures depend on the machine.
func goal(out io.Writer, what string, figure float64, atMost string, limit float64) {
	met := figure <= limit
	if atMost == "at least" {
		met = figure >= limit
	}
	word := "met"
	if !met {
		word = "MISSED"
	}
	text := fmt.Sprintf("%s: %s, %s %s", what, figureText(figure), atMost, figureText(limit))
	if rec, ok := out.(*recorder); ok {
		rec.goal(met, text)
		out = rec.out
	}
	fmt.Fprintf(out, "goal %-7s %s\n", word, text)
}

func figureText(x float64) string {
	if x == float64(int(x)) || x >= 1000 {
		return grouped(int(x))
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// grid is a table whose first column says what, with its numbers to the right.
type grid struct{ table.Writer }

func newTable(heads ...any) grid {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row(heads))
	var columns []table.ColumnConfig
	for n := range heads {
		if n > 0 {
			columns = append(columns, table.ColumnConfig{Number: n + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	return grid{t}
}

// left aligns a column of words, counted from 1, to the left.
func (g grid) left(column int) {
	g.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: column, Align: text.AlignLeft, AlignHeader: text.AlignLeft},
	})
}

func (g grid) row(cells ...any) { g.AppendRow(cells) }

func (g grid) write(out io.Writer) {
	if rec, ok := out.(*recorder); ok {
		rec.table(g)
		return
	}
	fmt.Fprintln(out, g.Render())
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

// grouped is a number as people read it: 10,000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// median of durations or rates; 0 if there are none.
func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// quantile is the value that the q-th part of sorted ones reaches, 1 for the greatest; 0 if there are none.
func quantile[T float64 | time.Duration](sorted []T, q float64) T {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}
