package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/streamlease/streamlease"

// Code that handles streams is built against api and leasetest; that must not
// pull in a Redis client, or anything else.
func TestImportsTheStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...").Output()
	require.NoError(t, err)
	require.ElementsMatch(t,
		[]string{module + "/api", module + "/api/leasetest"},
		strings.Fields(string(out)))
}

// Someone who opens a package finds what it is about in doc.go, once.
func TestEveryPackageHasItsOneCommentInDoc(t *testing.T) {
	comments := packageComments(t, "..")
	require.Contains(t, comments, "../api")
	for dir, files := range comments {
		require.Equal(t, []string{"doc.go"}, files, "files of %s with a package comment", dir)
	}
}

// packageComments returns the files with a package comment, by directory, for
// every directory below root that has Go files other than tests.
func packageComments(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		found[dir] = append(found[dir], commented(file, name)...)
		return nil
	})
	require.NoError(t, err)
	return found
}

func commented(file *ast.File, name string) []string {
	if file.Doc == nil {
		return nil
	}
	return []string{name}
}

// The check above can fail.
func TestPackageCommentsAreFound(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("none/a.go", "package none\n")
	write("none/a_test.go", "// Package none.\npackage none\n")
	write("two/doc.go", "// Package two.\npackage two\n")
	write("two/two.go", "// More of it.\npackage two\n")
	write("testdata/x.go", "package x\n")

	dir := filepath.ToSlash(root)
	require.Equal(t,
		map[string][]string{dir + "/none": nil, dir + "/two": {"doc.go", "two.go"}},
		packageComments(t, root))
}
