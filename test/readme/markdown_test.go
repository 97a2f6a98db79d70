package readme

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documents returns the README, what lies beside it, and all pages below docs.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	pages := below(t, "docs")
	require.NotEmpty(t, pages)
	return append(names, pages...)
}

// below returns the Markdown files below a folder of the repository.
func below(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, folder), func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(file, ".md") {
			name, relErr := filepath.Rel(root, file)
			names, err = append(names, filepath.ToSlash(name)), relErr
		}
		return err
	})
	require.NoError(t, err)
	return names
}

// fence is a block of code in a document.
type fence struct {
	where    string // document:line of its first line
	language string
	text     string
	comment  string // the HTML comment just before it
}

// comment matches the HTML comment with which a text ends.
var comment = regexp.MustCompile(`(?s)<!--\s*((?:[^-]|-[^-])*?)\s*-->\s*$`)

// fences returns the blocks of code of a document, and the document without them.
func fences(document, text string) (all []fence, rest string) {
	var outside strings.Builder
	var inside *fence
	var indent string
	number := 0
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case inside == nil && strings.HasPrefix(trimmed, "```"):
			indent = line[:len(line)-len(trimmed)]
			inside = &fence{where: fmt.Sprintf("%s:%d", document, number+1), language: strings.TrimSpace(strings.TrimLeft(trimmed, "`"))}
			if m := comment.FindStringSubmatch(outside.String()); m != nil {
				inside.comment = m[1]
			}
			outside.WriteByte('\n')
		case inside != nil && strings.HasPrefix(trimmed, "```"):
			all = append(all, *inside)
			inside = nil
			outside.WriteByte('\n')
		case inside != nil:
			inside.text += strings.TrimPrefix(line, indent)
			outside.WriteByte('\n')
		default:
			outside.WriteString(line)
		}
	}
	return all, outside.String()
}

// blocks returns the blocks of all documents that are in one of some languages, except those that a test of their own runs.
func blocks(t *testing.T, languages ...string) (all []fence) {
	t.Helper()
	for _, document := range documents(t) {
		found, _ := fences(document, read(t, document))
		for _, b := range found {
			if slices.Contains(languages, b.language) && !strings.HasPrefix(b.comment, runBy) {
				all = append(all, b)
			}
		}
	}
	return all
}

// runBy begins the comment of a block that a test of its own runs, and names the test.
const runBy = "run by "

// TestEveryTestThatRunsABlockExists holds the comments: a block that names a test is read by no other.
func TestEveryTestThatRunsABlockExists(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var sources strings.Builder
	for _, file := range files {
		sources.WriteString(read(t, "test/readme", file))
	}
	for _, document := range documents(t) {
		found, _ := fences(document, read(t, document))
		for _, b := range found {
			if name, named := strings.CutPrefix(b.comment, runBy); named {
				require.Contains(t, sources.String(), "func "+name+"(t *testing.T)", b.where)
				require.Contains(t, sources.String(), document, "%s: %s does not read this page", b.where, name)
			}
		}
	}
}

// span matches code within a paragraph, which may go over the end of a line.
var span = regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`")

// spans returns what stands between backquotes in a text without blocks, each with its place.
func spans(document, text string) (all []fence) {
	for _, at := range span.FindAllStringSubmatchIndex(text, -1) {
		code := strings.Join(strings.Fields(text[at[2]:at[3]]), " ")
		all = append(all, fence{where: fmt.Sprintf("%s:%d", document, 1+strings.Count(text[:at[0]], "\n")), text: code})
	}
	return all
}

func TestFencesAndSpans(t *testing.T) {
	text := "a `b c` d\n\n<!-- x\n y -->\n```sh\nmake `x`\n```\n- e `f\n  g` h\n\n  ```go\n  if x {\n  \ty()\n  ```\n"
	blocks, rest := fences("x.md", text)
	require.Equal(t, []fence{{"x.md:6", "sh", "make `x`\n", "x\n y"}, {"x.md:12", "go", "if x {\n\ty()\n", ""}}, blocks)
	require.Equal(t, []fence{{"x.md:1", "", "b c", ""}, {"x.md:8", "", "f g", ""}}, spans("x.md", rest))
}
