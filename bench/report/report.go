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
	Goals    bool   // show the goals of the project, and whether they are met
	Dir      string // folder of the files with everything so far; empty: none are written
	Command  string // command line that repeats the measurement
	Redis    string // version of the server

	parts []part
}

// Write writes results as JSON, or as text by calling people. Only the page shows the plots.
func (r *Report) Write(results any, people func(io.Writer), plots ...page.Plot) error {
	rec := &recorder{out: r.Out, goals: r.Goals}
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
	return r.add(part{Command: r.Command, Redis: r.Redis, Results: results, plots: plots, blocks: rec.blocks})
}

// Fail writes that the measurement of r.Command ended with an error, so that the report says why something is missing. What it wrote before
// stays.
func (r *Report) Fail(err error) error {
	text := "It ended with an error: " + err.Error()
	if _, err := fmt.Fprintf(r.Out, "$ %s\n%s\n\n", r.Command, text); err != nil {
		return err
	}
	return r.add(part{Command: r.Command, Redis: r.Redis, Results: struct{ Error string }{err.Error()}, blocks: []page.Block{{Text: text}}})
}

// add adds a part to the files.
func (r *Report) add(p part) error {
	r.parts = append(r.parts, p)
	if r.Dir == "" {
		return nil
	}
	return r.save()
}

// Goal writes whether a figure met its goal, to be "at most" or "at least" the limit, if the report shows goals: they are those of who
// develops the library. A missed goal fails nothing, since figures depend on the machine. out is the output that Report.Write passes on.
func Goal(out io.Writer, what string, figure float64, atMost string, limit float64) {
	rec, recorded := out.(*recorder)
	if recorded && !rec.goals {
		return
	}
	met := figure <= limit
	if atMost == "at least" {
		met = figure >= limit
	}
	word := "met"
	if !met {
		word = "MISSED"
	}
	text := fmt.Sprintf("%s: %s, %s %s", what, Figure(figure), atMost, Figure(limit))
	if recorded {
		rec.goal(met, text)
		out = rec.out
	}
	fmt.Fprintf(out, "goal %-7s %s\n", word, text)
}
