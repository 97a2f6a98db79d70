package scan

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
	parts := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range defined.FindAllStringSubmatch(string(text), -1) {
			if found[1] != "" {
				parts[found[1]+"("] = true
			} else {
				parts[found[2]] = true
			}
		}
	}
	require.Greater(t, len(parts), 30)
	called := regexp.MustCompile(`\w+\(?`)
	makes := regexp.MustCompile(`\blocal (?:function (\w+\()|([\w, ]+?) *=)`)
	uses := 0
	for _, s := range slices.Concat(lease.Scripts(), Scripts()) {
		made := make(map[string]int) // where it is first defined
		for _, at := range makes.FindAllStringSubmatchIndex(s.Body(), -1) {
			from, to := at[2], at[3]
			if from < 0 {
				from, to = at[4], at[5]
			}
			for _, name := range strings.Split(s.Body()[from:to], ", ") {
				if _, known := made[name]; !known {
					made[name] = at[0]
				}
			}
		}
		for _, at := range called.FindAllStringIndex(s.Body(), -1) {
			name := s.Body()[at[0]:at[1]]
			if !parts[name] {
				continue
			}
			uses++
			if from, known := made[name]; !known || from > at[0] {
				require.Fail(t, "not there", "%s uses %s; it is defined: %v", s.Name(), name, known)
			}
		}
	}
	require.Greater(t, uses, 500)
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
