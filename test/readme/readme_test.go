package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
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

// Every field of a feed's configuration is in the table of the page on messages.
func TestEveryFieldOfAFeedIsDocumented(t *testing.T) {
	_, fields, _ := strings.Cut(read(t, "engine", "feed", "config.go"), "\ntype Config struct {\n")
	fields, _, _ = strings.Cut(fields, "\n}\n")
	have := all(fields, `(?m)^\t([A-Z]\w*) `)
	require.NotEmpty(t, have)
	_, section, _ := strings.Cut(read(t, "docs", "messages.md"), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	first := strings.Join(regexp.MustCompile("(?m)^\\| (`[A-Z][^|]*)\\|").FindAllString(section, -1), "\n")
	require.Equal(t, have, all(first, "`(\\w+)`"))
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

// have reports whether a program is installed. Without it a test is not run, which is said, and which fails where all programs have to be
// there.
func have(t *testing.T, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
		return true
	case os.Getenv(servers.EnvAllPrograms) != "":
		t.Fatalf("%v: install it with `apt-get install %s`", err, program)
	}
	t.Logf("NOT RUN: %v: install it with `apt-get install %s`", err, program)
	return false
}
