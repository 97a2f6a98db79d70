package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/streamlease/streamlease/"

// layers are the parts of the repository, from the bottom up. A part is a directory with all below it that is not a part
// of its own. It may import the parts of lower layers, and nothing beside or above it.
var layers = [][]string{
	{"api", "wheel"},
	{"cluster"},
	{"lease"},
	{"scan"},
	{internal, "engine/balance", "engine/preflight"},
	{"engine"},
	{"engine/feed", "engine/schedule"},
	{"engine/enginetest", "engine/otel"},
	{"test"},
	{"bench", "engine/schedule/uptime", "engine/enginetest/internal/twin"},
}

const internal = "engine/internal"

// siblings are the packages under engine/internal, from the bottom up. One imports those of lower rows and none beside or above it.
var siblings = [][]string{
	{"cond", "guard", "pool", "quota", "waitlist", "workqueue"},
	{"dispatch", "outbox", "sumlog"},
	{"metrics"},
	{"completion"},
}

// Imports go one way. Test files may also use the helper packages under test, and what is in their own directory of the
// top level. What is under engine/internal does not know engine, its tests neither.
func TestImportsGoDownOnly(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		name = strings.TrimPrefix(filepath.ToSlash(name), "../")
		if _, level := part(name); level < 0 {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !strings.HasPrefix(imported, module) {
				continue
			}
			seen++
			imported = strings.TrimPrefix(imported, module)
			require.Empty(t, objection(name, imported), "%s imports %s", name, imported)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, seen, 50, "the walk has found the packages")
}

// Each rule lets pass and refuses what it should.
func TestObjection(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		fine           bool
	}{
		{"engine/run.go", "lease", true},
		{"engine/run.go", "engine/preflight", true},
		{"engine/run.go", "engine/internal/quota", true},
		{"engine/run.go", "engine/feed", false},
		{"engine/run.go", "test/servers", false},
		{"engine/run_test.go", "test/servers", true},
		{"engine/run_test.go", "engine/feed", true},
		{"engine/run_test.go", "bench/measure", false},
		{"engine/feed/feed.go", "engine", true},
		{"engine/feed/feedtest/feed.go", "engine/feed", true},
		{"engine/feed/feed.go", "engine/schedule", false},
		{"engine/balance/balance.go", "engine", false},
		{"engine/balance/balance.go", "lease", true},
		{"engine/internal/quota/quota.go", "engine", false},
		{"engine/internal/quota/quota_test.go", "engine", false},
		{"engine/internal/quota/quota_test.go", "engine/internal/quota", true},
		{"engine/internal/quota/quota_test.go", "test/virtual", true},
		{"engine/internal/quota/quota.go", "engine/internal/metrics", false},
		{"engine/internal/completion/send.go", "engine/internal/cond", true},
		{"engine/internal/completion/send.go", "engine/internal/metrics", true},
		{"engine/internal/cond/cond.go", "engine/internal/sumlog", false},
		{"engine/internal/cond/cond.go", "engine/internal/guard", false},
		{"engine/internal/cond/cond.go", "engine/internal/nowhere", false},
		{"engine/internal/quota/quota.go", "engine/balance", false},
		{"lease/store.go", "scan", false},
		{"lease/store.go", "cluster/notice", true},
		{"cluster/notice/watch.go", "cluster", true},
		{"api/lease.go", "wheel", false},
		{"test/servers/start.go", "bench/measure", false},
		{"bench/suite/size.go", "test/servers", true},
		{"engine/run.go", "elsewhere", false},
	} {
		require.Equal(t, c.fine, objection(c.file, c.imported) == "", "%s imports %s: %s",
			c.file, c.imported, objection(c.file, c.imported))
	}
}

// objection returns what is wrong with a file that imports a package of this repository, or nothing.
func objection(file, imported string) string {
	from, level := part(file)
	to, below := part(imported)
	test := strings.HasSuffix(file, "_test.go")
	dir := path.Dir(file)
	switch {
	case below < 0:
		return "it belongs to no layer"
	case dir == imported:
		return "" // the tests of a package, from outside
	case from == internal && to == internal:
		if to, from := rank(imported), rank(dir); to < 0 || from < 0 || to >= from {
			return "it is not on a lower row of siblings"
		}
		return ""
	case from == to, below < level:
		return ""
	case test && to == "test":
		return ""
	case test && from != internal && top(from) == top(to):
		return ""
	}
	return from + " is not above " + to
}

// part returns the part that a file or package belongs to and the number of its layer, -1 if none.
func part(name string) (longest string, level int) {
	level = -1
	for i, layer := range layers {
		for _, dir := range layer {
			if (name == dir || strings.HasPrefix(name, dir+"/")) && len(dir) > len(longest) {
				longest, level = dir, i
			}
		}
	}
	return longest, level
}

// rank returns the row of siblings that a package is on, -1 if none.
func rank(dir string) int {
	return slices.IndexFunc(siblings, func(row []string) bool { return slices.Contains(row, path.Base(dir)) })
}

func top(name string) string {
	dir, _, _ := strings.Cut(name, "/")
	return dir
}
