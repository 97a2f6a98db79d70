package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

// The page about what is in Redis names every key and every script, and none that is not there.
func TestTheProtocolHasEveryKeyAndScript(t *testing.T) {
	document, err := os.ReadFile("../../docs/protocol.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(document), "\n## Keys\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	named := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\{[^`]*|S)` \\|").FindAllStringSubmatch(table, -1) {
		named[row[1]] = true
	}

	layout, err := cluster.NewLayout("chat", 1)
	require.NoError(t, err)
	k := layout.Keys(0)
	there := map[string]bool{layout.Meta(): true, layout.Wishes(): true}
	for _, key := range []string{
		k.Input, k.Sessions, k.Later, k.Token, k.Scan, k.DeadLetters, k.Checkpoints, k.Schedules, k.Signals, k.Books, k.Load, k.Fleet,
		k.Lease("<data stream>"), k.Recover("<consumer>"), strings.Replace(k.Copied(0, "<consumer>"), ":0:", ":<partition>:", 1), k.Crashed("<consumer id>"),
	} {
		there[strings.Replace(key, k.Input, "S", 1)] = true
	}
	require.Equal(t, there, named)

	// What a layout is made of is all that was looked at.
	source, err := os.ReadFile("../../cluster/layout.go")
	require.NoError(t, err)
	require.Len(t, regexp.MustCompile(`(?m)tag \+ "|^\t\tmeta: |^\t\twishes: `).FindAllString(string(source), -1), len(there)-1, "a new key is to be added to this test and to docs/protocol.md")

	scripts := make(map[string]bool)
	for script := range matches(string(document), "`([\\w/]+\\.lua)`") {
		scripts[script] = true
	}
	for _, part := range []string{"lease", "scan", "engine"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", part), func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() && d.Name() == "enginetest" {
				return fs.SkipDir // its server in memory has Lua of its own
			}
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".lua") && filepath.Base(filepath.Dir(path)) != "parts" {
				name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
				require.True(t, scripts[name], "%s is to be added to docs/protocol.md", name)
				delete(scripts, name)
			}
			return err
		}))
	}
	require.Empty(t, scripts)
}

// matches returns the first group of every match.
func matches(text, pattern string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return found
}
