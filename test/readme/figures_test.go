package readme

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// figure matches the cell of a table that is a number with a unit, or several of them: what somebody has measured.
var figure = regexp.MustCompile(`^(?:about |≈ ?|< ?|≤ ?|~)?\d[\d,.]*(?: ?(?:%|[µmn]?s|min|h|B|KB|KiB|MB|MiB|GB|GiB|bytes|m|×))?(?:(?: ?[–/;,-] ?| \()\d[\d,.]*(?: ?(?:%|[µmn]?s|min|B|KB|KiB|MB|MiB|GB))?\)?)*$`)

// source matches what says how to get the figures again: a command that measures or simulates, or a page that has one.
var source = regexp.MustCompile("(?m)`(?:bin/)?bench [a-z-]|^(?:bin/|.* bin/)?bench [a-z-]|`make (?:bench|demo|fleet|weight|uptime)|`?go test [^`]*-(?:run|bench|v)|" +
	`\]\([\w./]*(?:costs|sizing|balance)\.md(?:#[\w-]+)?\)`)

// claim matches a sentence that says that something was measured.
var claim = regexp.MustCompile(`\b[Mm]easured(?: here| with|:| on)`)

// section is what stands between two headings.
type section struct{ where, heading, text string }

func sections(document, text string) (all []section) {
	_, outside := fences(document, text)
	lines, blank := strings.Split(text, "\n"), strings.Split(outside, "\n")
	s := section{where: document + ":1"}
	for i, line := range lines {
		if strings.HasPrefix(blank[i], "#") {
			all = append(all, s)
			s = section{where: fmt.Sprintf("%s:%d", document, i+1), heading: line}
		}
		s.text += line + "\n"
	}
	return append(all, s)
}

// measures reports whether a section has figures that somebody has measured: it says so, or half of the cells of a table are figures, the
// first column aside.
func (s section) measures() bool {
	if claim.MatchString(s.text) {
		return true
	}
	for table := range tables(s.text) {
		figures, cells := 0, 0
		for row := range strings.Lines(table) {
			for i, cell := range strings.Split(strings.Trim(row, "|\n "), " |") {
				cell = strings.TrimSpace(cell)
				switch {
				case i == 0 || cell == "":
				case figure.MatchString(strings.ReplaceAll(cell, "**", "")):
					figures++
					fallthrough
				default:
					cells++
				}
			}
		}
		if figures >= 4 && 2*figures >= cells {
			return true
		}
	}
	return false
}

// tables yields the bodies of the tables of a text.
func tables(text string) func(func(string) bool) {
	body := regexp.MustCompile(`(?m)^\|(?:[-: ]+\|)+\n((?:^\|.*\n)+)`)
	return func(yield func(string) bool) {
		for _, m := range body.FindAllStringSubmatch(text, -1) {
			if !yield(m[1]) {
				return
			}
		}
	}
}

// Figures that were measured have a command beside them, or a link to the page that has it: somebody who doubts them can measure again.
func TestEveryFigureHasItsCommand(t *testing.T) {
	measured := 0
	for _, document := range documents(t) {
		for _, s := range sections(document, read(t, document)) {
			if !s.measures() {
				continue
			}
			measured++
			if !source.MatchString(s.text) {
				t.Errorf("%s: %s has figures, and no command that measures them (or a link to one in costs.md, sizing.md or balance.md)", s.where, s.heading)
			}
		}
	}
	require.Greater(t, measured, 10)
}

func TestMeasures(t *testing.T) {
	table := func(rows string) section { return section{text: "# A\n\n| a | b | c |\n|---|---|---|\n" + rows} }
	require.True(t, table("| x | 1.5 % | 20 ms |\n| y | 1,000 | 2 / 3 ms |\n").measures())
	require.False(t, table("| x | 1.5 % | by default |\n| y | of | 2 |\n").measures())
	require.True(t, section{text: "# A\n\nMeasured with 3 streams: 4 ms.\n"}.measures())
	require.True(t, source.MatchString("`bench hold -for 20s`"))
	require.True(t, source.MatchString("```sh\nbin/bench feed\n```\n"))
	require.True(t, source.MatchString("see [costs](../costs.md#memory)"))
	require.False(t, source.MatchString("on a bench"))
}

// Commands stand in fences, where they are checked, and not in indented blocks.
func TestNoCommandIsIndented(t *testing.T) {
	indented := regexp.MustCompile(`(?m)^    (?:\$ )?(?:bin/)?(?:bench|streamlease|redis-cli|kubectl|docker|make|go (?:build|run|test|get|install)|ssh|curl) .*$`)
	for _, document := range documents(t) {
		_, text := fences(document, read(t, document))
		for _, line := range indented.FindAllString(text, -1) {
			t.Errorf("%s: %s", document, line)
		}
	}
}
