package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// Package is one package, type-checked from its non-test files.
type Package struct {
	Path  string // import path
	Fset  *token.FileSet
	Files []*ast.File // sorted by name
	Types *types.Package
	Info  *types.Info // Defs, Uses and Selections
}

// listed is what is read of a package that the go command lists.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Export     string // path of the file with its export data
	DepOnly    bool   // only imported by what was asked for
}

// Load returns the packages that match patterns, as the go command run in dir understands them, in the order of their
// imports. They have to compile.
func Load(dir string, patterns ...string) ([]*Package, error) {
	packages, err := list(dir, patterns)
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string, len(packages))
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(exports[path])
	})
	var loaded []*Package
	for _, p := range packages {
		if p.DepOnly {
			continue
		}
		checked, err := check(fset, imports, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		loaded = append(loaded, checked)
	}
	return loaded, nil
}

// list asks the go command for packages and all that they import.
func list(dir string, patterns []string) ([]listed, error) {
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export,DepOnly"}
	args = append(append(append(args, buildFlags()...), "--"), patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.Bytes())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		packages = append(packages, p)
	}
}

// buildFlags are the flags that this program was built with, as far as they change what a package is compiled to. With
// the same flags, a test under the race detector finds in the build cache what was compiled for its neighbors.
func buildFlags() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var flags []string
	for _, s := range info.Settings {
		if s.Key == "-race" || s.Key == "-tags" {
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return flags
}

// check parses and type-checks one package.
func check(fset *token.FileSet, imports types.Importer, p listed) (*Package, error) {
	// Reading the directory makes a cached test result depend on the list of files, not only on their contents.
	if _, err := os.ReadDir(p.Dir); err != nil {
		return nil, err
	}
	files := make([]*ast.File, len(p.GoFiles))
	for i, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files[i] = file
	}
	info := &types.Info{
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	conf := types.Config{Importer: imports}
	pkg, err := conf.Check(p.ImportPath, fset, files, info)
	if err != nil {
		return nil, err
	}
	return &Package{Path: p.ImportPath, Fset: fset, Files: files, Types: pkg, Info: info}, nil
}
