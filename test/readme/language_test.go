package readme

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/streamlease/streamlease/test/servers"
)

// Each language has a test that reads it: a block in another one would be read by nobody.
func TestEveryBlockIsInAKnownLanguage(t *testing.T) {
	readers := map[string]string{
		"sh":      "TestEveryCommandWorks",
		"console": "TestEveryCommandWorks, what follows a $: what a session looks like",
		"redis":   "TestEveryCommandWorks: what redis-cli reads line by line",
		"go":      "TestEveryProgramRuns and TestEveryGoBlockCompiles",
		"lua":     "TestEveryScriptLoads",
		"sql":     "TestEveryStatementParses",
		"yaml":    "TestEveryYAMLParses",
		"json":    "TestEveryJSONParses",
		"promql":  "TestEveryQueryAsksForWhatExists",
		"python":  "TestProducersInOtherLanguages",
		"js":      "TestProducersInOtherLanguages",
		"bash":    "TestEveryShellStartupFileParses",
		"text":    "output and diagrams, read by nobody; the access rules are run by test/rights",
	}
	for _, document := range documents(t) {
		blocks, _ := fences(document, read(t, document))
		for _, b := range blocks {
			require.Contains(t, readers, b.language, b.where)
		}
	}
}

// TestEveryScriptLoads has a server compile the Lua of the documents.
func TestEveryScriptLoads(t *testing.T) {
	client := servers.New(t).Client(t)
	for _, b := range blocks(t, "lua") {
		require.NoError(t, client.Do(t.Context(), client.B().ScriptLoad().Script(b.text).Build()).Error(), b.where)
	}
}

// TestEveryStatementParses has SQLite parse the SQL: it knows no table of the pages, and says so only of what it could parse.
func TestEveryStatementParses(t *testing.T) {
	if !have(t, "sqlite3") {
		return
	}
	parses := func(statement string) error {
		cmd := exec.Command("sqlite3", "-batch", "-bail", ":memory:")
		cmd.Stdin = strings.NewReader(statement)
		out, err := cmd.CombinedOutput()
		if err == nil || bytes.Contains(out, []byte("no such table")) {
			return nil
		}
		return errors.New(string(out))
	}
	for _, b := range blocks(t, "sql") {
		for statement := range strings.SplitSeq(b.text, ";\n") {
			require.NoError(t, parses(statement), b.where)
		}
	}
	require.Error(t, parses("UPDATE x SET y == WHERE z"))
}

func TestEveryYAMLParses(t *testing.T) {
	parses := func(text string) error {
		decoder := yaml.NewDecoder(strings.NewReader(text))
		for {
			var value any
			switch err := decoder.Decode(&value); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
		}
	}
	for _, b := range blocks(t, "yaml") {
		require.NoError(t, parses(b.text), b.where)
	}
	require.Error(t, parses("a: b: c"))
}

func TestEveryJSONParses(t *testing.T) {
	for _, b := range blocks(t, "json") {
		require.True(t, json.Valid([]byte(b.text)), b.where)
	}
}

// Every metric in a query is one that the page on metrics has.
func TestEveryQueryAsksForWhatExists(t *testing.T) {
	exist := all(read(t, "docs/metrics.md"), "`(streamlease_\\w+)")
	require.NotEmpty(t, exist)
	histogram := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, b := range blocks(t, "promql") {
		for name := range all(b.text, `\b(streamlease_\w+)`) {
			if !exist[name] {
				require.Contains(t, exist, histogram.ReplaceAllString(name, ""), b.where)
			}
		}
	}
}

// TestEveryShellStartupFileParses reads what belongs into the startup file of a shell, without running it.
func TestEveryShellStartupFileParses(t *testing.T) {
	for _, b := range blocks(t, "bash") {
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = strings.NewReader(b.text)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", b.where, out)
	}
}
