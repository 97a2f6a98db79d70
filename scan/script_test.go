package scan

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Lua looks a name up when it comes to it: a part that a script lacks would show in the one call that needs it.
func TestScriptsHaveThePartsThatTheyUse(t *testing.T) {
	defined := regexp.MustCompile(`(?m)^local function (\w+)|^local ([A-Z_]+) =`)
	files, err := filepath.Glob("../lease/lua/parts/*.lua")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	uses := make(map[string]*regexp.Regexp)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range defined.FindAllStringSubmatch(string(text), -1) {
			if found[1] != "" {
				uses[found[1]] = regexp.MustCompile(`\b` + found[1] + `\(`)
			} else {
				uses[found[2]] = regexp.MustCompile(`\b` + found[2] + `\b`)
			}
		}
	}
	require.Greater(t, len(uses), 30)
	for _, s := range slices.Concat(lease.Scripts(), Scripts()) {
		for name, use := range uses {
			definition := regexp.MustCompile(`\blocal (function ` + name + `\(|.*\b` + name + `\b.*=)`)
			first := use.FindStringIndex(s.Body())
			if first == nil {
				continue
			}
			made := definition.FindStringIndex(s.Body())
			require.NotNil(t, made, "%s uses %s", s.Name(), name)
			require.LessOrEqual(t, made[0], first[0], "%s uses %s before it is there", s.Name(), name)
		}
	}
}

// TestEveryScriptIsHeaded holds the head that each script file promises its reader.
func TestEveryScriptIsHeaded(t *testing.T) {
	for _, s := range Scripts() {
		text := luaText(s.Name())
		for _, word := range []string{"-- KEYS ", "-- ARGV ", "-- Returns ", "-- Atomic "} {
			require.Contains(t, text, word, s.Name())
		}
	}
}
