package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/page"
)

// Files of a report, in Report.Dir.
const (
	PageFile = "report.html"
	DataFile = "report.json"
)

// part is one measurement in the report.
type part struct {
	Command string
	Redis   string
	Results any
	plots   []page.Plot
	blocks  []page.Block
}

// recorder is an output that also keeps tables and goals as such, for the page.
type recorder struct {
	out    io.Writer // the terminal
	goals  bool      // shown
	blocks []page.Block
	text   strings.Builder // text since the last table or goal
}

func (r *recorder) Write(p []byte) (int, error) {
	r.text.Write(p)
	return r.out.Write(p)
}

// flush makes a block of the text so far.
func (r *recorder) flush() {
	if text := strings.Trim(r.text.String(), "\n"); text != "" {
		r.blocks = append(r.blocks, page.Block{Text: text})
	}
	r.text.Reset()
}

func (r *recorder) table(g Table) {
	r.flush()
	g.Style().HTML.CSSClass = ""
	r.blocks = append(r.blocks, page.Block{Table: template.HTML(g.RenderHTML())}) // RenderHTML escapes the cells
	fmt.Fprintln(r.out, g.Render())
}

func (r *recorder) goal(met bool, text string) {
	r.flush()
	if n := len(r.blocks); n == 0 || r.blocks[n-1].Goals == nil {
		r.blocks = append(r.blocks, page.Block{})
	}
	last := &r.blocks[len(r.blocks)-1]
	last.Goals = append(last.Goals, page.Goal{Met: met, Text: text})
}

// save writes all parts so far to the files in r.Dir.
func (r *Report) save() error {
	var data bytes.Buffer
	encode := json.NewEncoder(&data)
	encode.SetIndent("", "  ")
	if err := encode.Encode(struct {
		Machine string
		Made    time.Time
		Parts   []part
	}{measure.Machine(), time.Now().UTC(), r.parts}); err != nil {
		return err
	}
	p := page.Page{Title: "streamlease on this machine", Machine: measure.Machine(), Made: time.Now()}
	for _, x := range r.parts {
		p.Parts = append(p.Parts, page.Part{
			Name: Subcommand(x.Command), Command: x.Command, Redis: x.Redis, Plots: x.plots, Blocks: x.blocks,
		})
	}
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	for name, content := range map[string][]byte{DataFile: data.Bytes(), PageFile: text.Bytes()} {
		if err := os.WriteFile(filepath.Join(r.Dir, name), content, 0o644); err != nil {
			return fmt.Errorf("-out: %w", err)
		}
	}
	return nil
}

// Subcommand is the name of the measurement in a command line.
func Subcommand(command string) string {
	words := strings.Fields(command)
	if len(words) < 2 {
		return command
	}
	return words[1]
}
