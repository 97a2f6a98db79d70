package readme

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	require.NoError(t, err)
	return string(text)
}

// block returns the first code block of a language in a document that contains a text.
func block(t *testing.T, document, language, containing string) string {
	t.Helper()
	rest, found := read(t, document), true
	for {
		if _, rest, found = strings.Cut(rest, "\n```"+language+"\n"); !found {
			require.Fail(t, "no such block", "%s with %s", language, containing)
		}
		code, after, _ := strings.Cut(rest, "\n```\n")
		if strings.Contains(code, containing) {
			return code + "\n"
		}
		rest = "\n```\n" + after
	}
}

// all returns the first group of every match.
func all(text, pattern string) map[string]bool {
	found := make(map[string]bool)
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return found
}

func TestEveryOptionIsDocumented(t *testing.T) {
	have := all(read(t, "engine", "option.go"), `(?m)^func (With\w+)\(`)
	require.NotEmpty(t, have)
	require.Equal(t, have, all(read(t, "docs", "options.md"), "(?m)^\\| `(With\\w+)\\("))
}

// Every metric is in the table that says what it is for.
func TestEveryMetricIsForSomething(t *testing.T) {
	text := read(t, "docs", "metrics.md")
	have := all(text, "(?m)^- `streamlease_(\\w+(?:\\{[a-z,]+\\})?)`")
	require.NotEmpty(t, have)
	_, section, _ := strings.Cut(text, "\n## What to look at\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := strings.Join(regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(section, -1), "\n")
	require.Equal(t, have, all(rows, "`(\\w+(?:\\{[a-z,]+\\})?)`"))
}

// The table of pages in the README has every page.
func TestEveryPageIsInTheReadme(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "README.md"), "\n## Where to go on\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, document := range documents(t)[1:] {
		require.Contains(t, section, "]("+document+")", "README.md, Where to go on")
	}
}

func TestEveryLinkedFileExists(t *testing.T) {
	for _, document := range documents(t) {
		_, text := fences(document, read(t, document)) // t[int](x) is no link
		for link := range all(text, `\]\(([^)#:]+)\)`) {
			_, err := os.Stat(filepath.Join(root, filepath.Dir(document), link))
			require.NoError(t, err, "%s links to %s", document, link)
		}
	}
}

func TestEveryLinkedHeadingExists(t *testing.T) {
	headings := make(map[string]map[string]bool)
	for _, document := range documents(t) {
		headings[document] = make(map[string]bool)
		for heading := range all(read(t, document), `(?m)^#+ (.*)$`) {
			heading = regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), "")
			headings[document][strings.ReplaceAll(heading, " ", "-")] = true
		}
	}
	for document := range headings {
		_, text := fences(document, read(t, document))
		for _, link := range regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			target := document
			if link[1] != "" {
				target = path.Join(path.Dir(document), link[1])
			}
			require.Contains(t, headings[target], link[2], "%s links to a heading of %s", document, target)
		}
	}
}
