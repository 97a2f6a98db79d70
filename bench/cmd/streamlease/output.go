package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/streamlease/streamlease/api"
)

// screen is what is known of a stream of the command.
type screen struct {
	terminal      bool
	width, height int // of a terminal
}

// screenOf looks at a stream.
func screenOf(stream any) screen {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	s := screen{terminal: true, width: 80, height: 24}
	if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
		s.width, s.height = w, h
	}
	return s
}

// printer writes answers: tables for people, JSON for programs.
type printer struct {
	*env
	json  bool
	color bool
}

func (e *env) printer(cmd *cli.Command) *printer {
	return &printer{
		env:   e,
		json:  cmd.Bool("json"),
		color: !cmd.Bool("no-color") && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && e.screen(e.out).terminal,
	}
}

// tell writes a line for a person: to stderr if what is written is JSON.
func (p *printer) tell(format string, args ...any) {
	out := p.out
	if p.json {
		out = p.errs
	}
	fmt.Fprintln(out, visible(fmt.Sprintf(format, args...)))
}

// hint writes what somebody at a terminal may want to do next.
func (p *printer) hint(format string, args ...any) {
	if !p.json && p.screen(p.errs).terminal {
		fmt.Fprintln(p.errs, p.toned(faint, visible(fmt.Sprintf(format, args...))))
	}
}

// tone is how a cell is to look.
type tone string

const (
	bad   tone = "\x1b[31m"
	warn  tone = "\x1b[33m"
	good  tone = "\x1b[32m"
	bold  tone = "\x1b[1m"
	faint tone = "\x1b[2m"
)

// toned returns a text that is clean in the colors of a tone.
func (p *printer) toned(t tone, text string) string {
	if !p.color {
		return text
	}
	return string(t) + text + "\x1b[0m"
}

// toned is a cell with a tone.
type toned struct {
	tone tone
	cell any
}

// listing is a table. Numbers are aligned to the right.
type listing struct {
	head []any // one for each column; a column of numbers begins with a >
	rows [][]any
	foot []any  // nil: none
	none string // what to say where there are no rows
}

func (l *listing) row(cells ...any) { l.rows = append(l.rows, cells) }

// list writes objects, a slice, as JSON, or else a table.
func (p *printer) list(objects any, l *listing) error {
	if p.json {
		return p.array(objects)
	}
	if len(l.rows) == 0 && l.none != "" {
		p.tell("%s", l.none)
		return nil
	}
	_, err := fmt.Fprintln(p.out, p.render(l))
	return err
}

// render returns a table as text.
func (p *printer) render(l *listing) string {
	w := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true, SeparateFooter: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format = table.FormatOptions{Header: text.FormatDefault, Footer: text.FormatDefault, Row: text.FormatDefault}
	w.SetStyle(style)
	var columns []table.ColumnConfig
	head := make(table.Row, len(l.head))
	for n, h := range l.head {
		name := h.(string)
		if name[0] == '>' {
			name = name[1:]
			columns = append(columns, table.ColumnConfig{Number: n + 1, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight})
		}
		head[n] = p.toned(bold, strings.ToUpper(name))
	}
	w.SetColumnConfigs(columns)
	w.AppendHeader(head)
	for _, cells := range l.rows {
		w.AppendRow(p.cells(cells))
	}
	if l.foot != nil {
		w.AppendFooter(p.cells(l.foot))
	}
	w.SuppressTrailingSpaces()
	return w.Render()
}

// cells returns cells as text that is safe to write.
func (p *printer) cells(cells []any) table.Row {
	row := make(table.Row, len(cells))
	for n, cell := range cells {
		row[n] = p.cell(cell)
	}
	return row
}

func (p *printer) cell(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case toned:
		return p.toned(v.tone, p.cell(v.cell))
	case int:
		return number(v)
	case string:
		return visible(v)
	}
	return visible(fmt.Sprint(cell))
}

// number returns a number with its thousands apart.
func number(n int) string {
	if n < 0 {
		return "-" + number(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}

// fields are lines with a label each.
type fields [][2]any

func (f *fields) add(label string, value any) { *f = append(*f, [2]any{label, value}) }

// labelled writes an object as JSON, or else lines with labels.
func (p *printer) labelled(object any, f fields) error {
	if p.json {
		return p.object(object)
	}
	width := 0
	for _, line := range f {
		width = max(width, len(line[0].(string)))
	}
	for _, line := range f {
		label := line[0].(string)
		if _, err := fmt.Fprintf(p.out, "%s%*s  %s\n", p.toned(bold, label), width-len(label), "", p.cell(line[1])); err != nil {
			return err
		}
	}
	return nil
}

// object writes a JSON object.
func (p *printer) object(v any) error { return writeJSON(p.out, v, "  ") }

// line writes a JSON object on one line.
func (p *printer) line(v any) error { return writeJSON(p.out, v, "") }

// array writes a JSON array with an object on each line. objects is a slice; nil is one without elements.
func (p *printer) array(objects any) error {
	all := reflect.ValueOf(objects)
	if all.Len() == 0 {
		_, err := fmt.Fprintln(p.out, "[]")
		return err
	}
	var b bytes.Buffer
	for n := range all.Len() {
		if n == 0 {
			b.WriteString("[\n")
		} else {
			b.Truncate(b.Len() - 1)
			b.WriteString(",\n")
		}
		if err := writeJSON(&b, all.Index(n).Interface(), ""); err != nil {
			return err
		}
	}
	b.WriteString("]\n")
	_, err := p.out.Write(b.Bytes())
	return err
}

// writeJSON writes a value as JSON in which a terminal finds nothing to obey.
func writeJSON(out io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(escaped(b.Bytes()))
	return err
}

// escaped escapes in JSON what the encoder leaves: DEL, C1 control characters, marks of direction.
func escaped(in []byte) []byte {
	if !bytes.ContainsFunc(in, hidden) {
		return in
	}
	var b []byte
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case !hidden(r):
			b = append(b, in[:n]...)
		case r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		in = in[n:]
	}
	return b
}

func hidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// stream is the name of a data stream in JSON.
type stream struct {
	Stream string `json:"stream"`
	Base64 []byte `json:"stream_base64,omitempty"` // where the name is not UTF-8
}

func streamOf(name string) stream {
	s := stream{Stream: name}
	if !utf8.ValidString(name) {
		s.Base64 = []byte(name)
	}
	return s
}

// orDash is a name, or a dash where there is none.
func orDash(name string) string {
	if name == "" {
		return dash
	}
	return named(name)
}

// counted is a number of things.
func counted(n int, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "s"):
		thing += "es"
	default:
		thing += "s"
	}
	return number(n) + " " + thing
}

// orMore marks a number that is only what was shown.
func orMore(more bool) string {
	if more {
		return " shown; there are more (-limit)"
	}
	return ""
}

// decimal is a number with as many digits as it needs, at most two.
func decimal(f float64) string {
	text := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// tokenText is a token; empty where there is none.
func tokenText(t api.Token) string {
	if t == 0 {
		return ""
	}
	return t.String()
}

// upTo returns what a sequence yields, at most that many unless most is 0, whether there is more, and the error that ended it.
func upTo[T any](most int, all iter.Seq2[T, error]) (some []T, more bool, err error) {
	for v, err := range all {
		if err != nil {
			return some, false, err
		}
		if most > 0 && len(some) == most {
			return some, true, nil
		}
		some = append(some, v)
	}
	return some, false, nil
}
