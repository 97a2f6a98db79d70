package main

import (
	"os"
	"path"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

const troubleshooting = "../../docs/troubleshooting.md"

// What an error means and what to do about it is looked up by its name.
func TestEveryErrorIsInTheTableOfErrors(t *testing.T) {
	document, err := os.ReadFile(troubleshooting)
	require.NoError(t, err)
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+\\.Err\\w+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(
		regexp.MustCompile(`\\\|`).ReplaceAllString(string(document), " "), -1) {
		require.False(t, documented[row[1]], "twice: %s", row[1])
		documented[row[1]] = true
	}
	exported := make(map[string]bool)
	for name, list := range stableExports(t) {
		for _, line := range list.Lines {
			if m := regexp.MustCompile(`^var (Err\w+) error`).FindStringSubmatch(line); m != nil {
				exported[path.Base(name)+"."+m[1]] = true
			}
		}
	}
	require.Greater(t, len(exported), 40)
	require.Equal(t, exported, documented, "docs/troubleshooting.md has a row for each error, and for no other")
}

// So is what Redis refuses, by its code.
func TestEveryCodeOfRedisIsInTheTableOfCodes(t *testing.T) {
	document, err := os.ReadFile(troubleshooting)
	require.NoError(t, err)
	source, err := os.ReadFile("../../lease/refusal.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\t\{"([^"]+)", `).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 20)
	for _, code := range append(codes, []string{"", "BADCHECKPOINT"}) {
		require.Regexp(t, "(?m)^\\| (`[^|]*`, )?`"+regexp.QuoteMeta(code[1])+"`", string(document))
	}
}
