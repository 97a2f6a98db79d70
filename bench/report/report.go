package report

import (
	"encoding/json"
	"fmt"
	"io"

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

// Goal says whether a figure is what was aimed at. It fails nothing: figures depend on the machine.
func Goal(out io.Writer, what string, figure float64, atMost string, limit float64) {
	met := figure <= limit
	if atMost == "at least" {
		met = figure >= limit
	}
	word := "met"
	if !met {
		word = "MISSED"
	}
	text := fmt.Sprintf("%s: %s, %s %s", what, Figure(figure), atMost, Figure(limit))
	if rec, ok := out.(*recorder); ok {
		rec.goal(met, text)
		out = rec.out
	}
	fmt.Fprintf(out, "goal %-7s %s\n", word, text)
}
