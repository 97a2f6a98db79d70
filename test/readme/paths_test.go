package readme

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const architecture = "docs/architecture.md"

// reference matches a file in a document, by its path in the repository: `lease/table.go`, `lease/rule_*_test.go`, and with
// something that is declared in it: `engine/reader.go: reader.readOnce`, `lease/lua/parts/session.lua: put_on_record`.
var reference = regexp.MustCompile("`([\\w.*/-]+\\.(?:go|lua|md|txt))(?:: ([\\w.]+))?`")

func TestEveryNamedFileExists(t *testing.T) {
	var missing []string
	for _, document := range documents(t) {
		for file := range all(read(t, document), reference.String()) {
			if file == "doc.go" || file == "main_test.go" || file == "main.go" {
				continue // every package, or program, has one
			}
			found, err := filepath.Glob(filepath.Join(root, file))
			require.NoError(t, err)
			if len(found) == 0 {
				missing = append(missing, document+": "+file)
			}
		}
	}
	require.Empty(t, missing, "give the path in the repository")
}

func TestEveryNamedDeclarationExists(t *testing.T) {
	named := 0
	var missing []string
	for _, document := range documents(t) {
		for _, match := range reference.FindAllStringSubmatch(read(t, document), -1) {
			file, name := match[1], match[2]
			if name == "" {
				continue
			}
			if named++; !declared(t, file)[name] {
				missing = append(missing, document+": "+match[0])
			}
		}
	}
	require.Empty(t, missing, "declared somewhere else, or under another name")
	require.Greater(t, named, 100, "those of the walks")
}

// What the last column of the file map names is declared in the files that the first one names.
func TestTypesInTheFileMapAreInTheirFiles(t *testing.T) {
	rows := 0
	var missing []string
	for line := range strings.Lines(fileMap(t)) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		files := slices.Collect(maps.Keys(all(cells[0], reference.String())))
		if len(cells) != 3 || len(files) == 0 {
			continue
		}
		rows++
		have := make(map[string]bool)
		for _, file := range files {
			if strings.Contains(file, "*") {
				continue
			}
			maps.Copy(have, declared(t, file))
		}
		for name := range all(cells[2], "`([\\w.]+)`") {
			if !have[name] {
				missing = append(missing, cells[0]+": "+name)
			}
		}
	}
	require.Empty(t, missing)
	require.Greater(t, rows, 50)
}

// example is a module of its own below a part of the library.
const example = "engine/schedule/uptime/"

// The file map has every file of what runs in a user's process, and every package.
func TestFileMapIsComplete(t *testing.T) {
	text := fileMap(t)
	var missing []string
	for _, top := range []string{"api", "wheel", "cluster", "lease", "scan", "engine", "test", "bench"} {
		byFile := slices.Contains([]string{"cluster", "lease", "scan", "engine"}, top)
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, entry fs.DirEntry, err error) error {
			name := filepath.ToSlash(strings.TrimPrefix(file, filepath.FromSlash(root)+string(filepath.Separator)))
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return fs.SkipDir
			case entry.Name() == "doc.go":
				name = path.Dir(name)
			case byFile && !strings.HasPrefix(name, example) && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			default:
				return nil
			}
			if !strings.Contains(text, "`"+name+"`") {
				missing = append(missing, name)
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Empty(t, missing, "files and packages to be added to %s", architecture)
}

func fileMap(t *testing.T) string {
	_, section, found := strings.Cut(read(t, architecture), "\n## File map\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// declared returns what a file declares at its top level; methods as Type.method.
func declared(t *testing.T, file string) map[string]bool {
	t.Helper()
	return declaredIn(t, file, read(t, file))
}

func declaredIn(t *testing.T, file, text string) map[string]bool {
	t.Helper()
	if strings.HasSuffix(file, ".lua") {
		return all(text, `(?m)^local function (\w+)\(`)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	require.NoError(t, err)
	names := make(map[string]bool)
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a receiver's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr: // of a generic type
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	}
	return x.(*ast.Ident).Name
}

func TestDeclaredNames(t *testing.T) {
	require.Equal(t, map[string]bool{"c": true, "w": true, "list": true, "list.push": true, "pair": true, "pair.swap": true, "f": true},
		declaredIn(t, "x.go", `package x
const c = 1
var w int
type list[T any] struct{}
func (l *list[T]) push(x T) {}
type pair[A, B any] struct{}
func (pair[A, B]) swap() {}
func f() { var v int; _ = v }
`))
	require.Equal(t, map[string]bool{"f": true}, declaredIn(t, "x.lua", "local x = 1\nlocal function f(x)\nend\n"))
}
