package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/streamlease/streamlease/"

// height says how far up a package is: it may import what is below it, and nothing beside or above.
var height = map[string]int{"api": 0, "wheel": 0, "cluster": 1, "lease": 2, "scan": 3, "engine": 4, "bench": 5, "test": 5}

// Imports go one way. Test files may use the helper packages under test, and nothing else from above.
func TestImportsGoDownOnly(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		from, _, _ := strings.Cut(filepath.ToSlash(strings.TrimPrefix(path, "../")), "/")
		level, known := height[from]
		if !known {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !strings.HasPrefix(name, module) {
				continue
			}
			seen++
			to, _, _ := strings.Cut(strings.TrimPrefix(name, module), "/")
			if to == from || to == "test" && strings.HasSuffix(path, "_test.go") {
				continue
			}
			require.Contains(t, height, to, "%s imports %s", path, name)
			require.Less(t, height[to], level+sideways(from, to), "%s imports %s", path, name)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, seen, 50, "the walk has found the packages")
}

// sideways lets bench use the helpers under test, which are at its own height.
func sideways(from, to string) int {
	if from == "bench" && to == "test" {
		return 1
	}
	return 0
}
