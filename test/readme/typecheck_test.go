package readme

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const library = "github.com/streamlease/streamlease"

// nested are the modules below that of the library that pages have code for, by their folders.
func nested(t *testing.T) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "engine"), func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "go.mod" {
			name, relErr := filepath.Rel(root, filepath.Dir(file))
			folders, err = append(folders, filepath.ToSlash(name)), relErr
		}
		return err
	})
	require.NoError(t, err)
	return folders
}

// packages returns the packages that a piece may use without importing them, by their names.
func packages(t *testing.T) map[string]string {
	t.Helper()
	known := make(map[string]string)
	for _, name := range []string{
		"bytes", "cmp", "context", "crypto/tls", "database/sql", "encoding/json", "errors", "fmt", "log", "log/slog", "maps", "net/http",
		"os", "os/signal", "slices", "strconv", "strings", "sync", "syscall", "testing", "testing/synctest", "time",
		"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp", "github.com/redis/rueidis",
	} {
		known[path.Base(name)] = name
	}
	for _, top := range []string{"api", "cluster", "engine", "lease", "scan", "wheel"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && slices.Contains([]string{"internal", "testdata"}, entry.Name()) {
				return fs.SkipDir
			}
			if err == nil && entry.Name() == "doc.go" {
				name, relErr := filepath.Rel(root, filepath.Dir(file))
				known[path.Base(filepath.ToSlash(name))], err = library+"/"+filepath.ToSlash(name), relErr
			}
			return err
		})
		require.NoError(t, err)
	}
	known["leases"] = known["lease"] // lease is a variable
	delete(known, "lease")
	known["otelstreamlease"] = known["otel"] // its name is not that of its folder
	delete(known, "otel")
	return known
}

// piece is a block that is to be checked.
type piece struct {
	where   string
	files   []*ast.File
	imports []string
	problem error
}

// complete parses a block in its frame, and makes a second file of what the frame has of what the block names.
func complete(fset *token.FileSet, b fence, known map[string]string) piece {
	p := piece{where: b.where}
	file, err := parser.ParseFile(fset, "piece.go", wrap(b), 0)
	if err != nil {
		p.problem = err
		return p
	}
	whole := file.Name.Name != "piece" || len(file.Imports) > 0
	var imports, variables strings.Builder
	add := func(name string) {
		if known[name] != "" && !strings.Contains(imports.String(), "import "+name+" ") {
			fmt.Fprintf(&imports, "import %s %q\n", name, known[name])
		}
	}
	for _, id := range file.Unresolved {
		if whole {
			break
		}
		kind := usual[id.Name]
		if kind == "" {
			add(id.Name)
			continue
		}
		add(strings.TrimPrefix(strings.Split(kind, ".")[0], "*"))
		if line := fmt.Sprintf("var %s %s\n", id.Name, kind); !strings.Contains(variables.String(), line) {
			variables.WriteString(line)
		}
	}
	// Imports are of a file, so the block is parsed again with them in front.
	text := wrap(b)
	if !whole {
		text = strings.Replace(text, "package piece\n", "package piece\n"+imports.String()+variables.String(), 1)
	}
	if file, err = parser.ParseFile(fset, "piece.go", text, 0); err != nil {
		p.problem = err
		return p
	}
	p.files = []*ast.File{file}
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		p.imports = append(p.imports, name)
	}
	return p
}

// check returns what the compiler has against blocks, by their places: it type-checks them, against the packages as the modules that they
// import have built them.
func check(t *testing.T, blocks []fence) map[string]string {
	t.Helper()
	fset, known, modules := token.NewFileSet(), packages(t), nested(t)
	byModule := make(map[string][]piece)
	problems := make(map[string]string)
	for _, b := range blocks {
		p := complete(fset, b, known)
		if p.problem != nil {
			problems[p.where] = p.problem.Error()
			continue
		}
		module := "."
		for _, folder := range modules {
			for _, name := range p.imports {
				if name == library+"/"+folder || strings.HasPrefix(name, library+"/"+folder+"/") {
					module = folder
				}
			}
		}
		byModule[module] = append(byModule[module], p)
	}
	for module, pieces := range byModule {
		lookup := exported(t, module, pieces)
		imports := importer.ForCompiler(fset, "gc", lookup)
		for _, p := range pieces {
			var all []error
			config := types.Config{Importer: imports, Error: func(err error) {
				var of types.Error
				if !errors.As(err, &of) || !of.Soft { // soft: not used, which the rest of a program may do
					all = append(all, err)
				}
			}}
			_, _ = config.Check("piece", fset, p.files, nil)
			if err := errors.Join(all...); err != nil {
				problems[p.where] = err.Error()
			}
		}
	}
	return problems
}

// exported has the go command build what pieces import, in one of the modules, and returns what finds it.
func exported(t *testing.T, module string, pieces []piece) func(path string) (io.ReadCloser, error) {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "--"}
	for _, p := range pieces {
		args = append(args, p.imports...)
	}
	slices.Sort(args[6:])
	list := exec.Command("go", slices.Compact(args)...)
	list.Dir = filepath.Join(root, module)
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, "%s", stderr.String())
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if name, file, found := strings.Cut(strings.TrimSpace(line), " "); found {
			files[name] = file
		}
	}
	return func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("%s is not in %s", path, module)
		}
		return os.Open(files[path])
	}
}
