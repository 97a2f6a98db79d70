package readme

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fence is a block of code in a document.
type fence struct {
	where    string // document:line of its first line
	language string
	text     string
}

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
	text := "a `b c` d\n\n```sh\nmake `x`\n```\n- e `f\n  g` h\n\n  ```go\n  if x {\n  \ty()\n  ```\n"
	blocks, rest := fences("x.md", text)
	require.Equal(t, []fence{{"x.md:4", "sh", "make `x`\n"}, {"x.md:10", "go", "if x {\n\ty()\n"}}, blocks)
	require.Equal(t, []fence{{"x.md:1", "", "b c"}, {"x.md:6", "", "f g"}}, spans("x.md", rest))
}

// Each language has a test that reads it: a block in another one would be read by nobody.
func TestEveryBlockIsInAKnownLanguage(t *testing.T) {
	readers := map[string]string{
		"":     "diagrams, read by nobody",
		"sh":   "TestEveryCommandWorks",
		"go":   "TestEveryProgramRuns and TestEveryGoBlockCompiles",
		"lua":  "TestEveryScriptLoads",
		"text": "test/rights runs the access rules",
		"yaml": "manifests, read by nobody: they need a Kubernetes",
		"sql":  "for any database, run by nobody",
	}
	for _, document := range documents(t) {
		blocks, _ := fences(document, read(t, document))
		for _, b := range blocks {
			require.Contains(t, readers, b.language, b.where)
		}
	}
}
