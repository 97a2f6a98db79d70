package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/page"
)

// Report is where results are written. One report can take the results of several measurements, one after the other.
type Report struct {
	Out      io.Writer
	Progress io.Writer // a terminal; nil: no progress is shown
	JSON     bool
	Dir      string // folder of the files with everything so far; empty: none are written
	Command  string // command line that repeats the measurement
	Redis    string // version of the server

	parts []part
}

// Write writes results as JSON, or as text by calling people. Only the page shows the plots.
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

// Goal writes whether a figure met its goal: to be "at most" or "at least" the limit. A missed goal fails nothing, since figures depend on
// the machine. out is the output that Report.Write passes on.
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
