package compat

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/streamlease/streamlease/release/repository"
)

// notForOthers are the folders of modules and packages that nobody imports: programs, what measures, and what tests.
var notForOthers = []string{"bench", "docs", "engine/schedule/uptime", "release", "test"}

func forOthers(folder string) bool {
	return !slices.ContainsFunc(notForOthers, func(other string) bool { return folder == other || strings.HasPrefix(folder, other+"/") })
}

// exported are the packages of a module by their paths.
type exported map[string]*types.Package

// load type-checks the packages of a module that others can import. The bodies of functions are left out, of those that it imports too:
// nothing has to be compiled, and it takes seconds.
func load(r *repository.Repository, m repository.Module) (exported, error) {
	config := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes,
		Dir:       filepath.Join(r.Root, m.Folder),
		Env:       append(os.Environ(), "GOWORK=", "CGO_ENABLED=0", "GOFLAGS="),
		ParseFile: signatures,
	}
	found, err := packages.Load(config, "./...")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	e := make(exported)
	for _, p := range found {
		below := strings.TrimPrefix(strings.TrimPrefix(p.PkgPath, m.Path), "/")
		folder := strings.TrimPrefix(m.Folder+"/"+below, "./")
		if p.Name == "main" || slices.Contains(strings.Split(folder, "/"), "internal") || !forOthers(folder) {
			continue
		}
		if problem := objections(p); problem != nil {
			return nil, fmt.Errorf("%s: %w", p.PkgPath, problem)
		}
		e[p.PkgPath] = p.Types
	}
	return e, nil
}

// expected is what the type checker has against a package whose functions have no bodies.
var expected = regexp.MustCompile(`imported( as \S+)? and not used|missing function body|must have a body`)

// objections returns what keeps a package from being compared.
func objections(p *packages.Package) error {
	var errs []error
	for _, e := range p.Errors {
		if !expected.MatchString(e.Msg) {
			errs = append(errs, e)
		}
	}
	if p.Types == nil {
		errs = append(errs, errors.New("not type-checked"))
	}
	return errors.Join(errs...)
}

func signatures(set *token.FileSet, name string, text []byte) (*ast.File, error) {
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if file == nil {
		return nil, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			f.Body = nil
		}
	}
	return file, err
}
