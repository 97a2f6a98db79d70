package readme

import (
	"os"
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

// block returns the first code block of a language that contains a text.
func block(t *testing.T, language, containing string) string {
	t.Helper()
	_, rest, found := "", read(t, "README.md"), true
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

func TestEveryOptionIsInTheReadme(t *testing.T) {
	have := all(read(t, "engine", "option.go"), `(?m)^func (With\w+)\(`)
	require.NotEmpty(t, have)
	require.Equal(t, have, all(read(t, "README.md"), "(?m)^\\| `(With\\w+)\\("))
}

func TestEveryMetricIsInTheReadme(t *testing.T) {
	have := all(read(t, "docs", "METRICS.md"), "(?m)^- `streamlease_(\\w+(?:\\{[a-z,]+\\})?)`")
	require.NotEmpty(t, have)
	_, section, _ := strings.Cut(read(t, "README.md"), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := strings.Join(regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(section, -1), "\n")
	require.Equal(t, have, all(rows, "`(\\w+(?:\\{[a-z,]+\\})?)`"))
}

func TestEveryTargetInTheReadmeIsInTheMakefile(t *testing.T) {
	have := all(read(t, "Makefile"), `(?m)^([a-z]+):`)
	for target := range all(read(t, "README.md"), "(?m)(?:^|`)make ([a-z]+)") {
		require.Contains(t, have, target)
	}
}

func TestEveryLinkedFileExists(t *testing.T) {
	for _, document := range documents(t) {
		for link := range all(read(t, document), `\]\(([^)#:]+)\)`) {
			_, err := os.Stat(filepath.Join(root, filepath.Dir(document), link))
			require.NoError(t, err, "%s links to %s", document, link)
		}
	}
}

func TestEveryLinkedHeadingExists(t *testing.T) {
	for _, document := range documents(t) {
		text := read(t, document)
		have := make(map[string]bool)
		for heading := range all(text, `(?m)^#+ (.*)$`) {
			heading = regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), "")
			have[strings.ReplaceAll(heading, " ", "-")] = true
		}
		for link := range all(text, `\]\(#([^)]+)\)`) {
			require.Contains(t, have, link, "headings of %s", document)
		}
	}
}
