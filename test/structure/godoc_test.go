package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/source"
)

// inner are public packages that only this module calls. They say so, and need neither an example nor a page of the documentation.
var inner = []string{"cluster/backoff", "cluster/breaker", "cluster/dialer", "cluster/expiry"}

// shown are the names that have an example beside that of their package, if any: what a program calls first.
var shown = map[string][]string{
	"api":         {"DecodeInfo", "Funcs", "Lease", "Permanent", "Snooze"},
	"cluster":     {"Partition", "SpreadOf", "SuggestPartitions"},
	"engine":      {"Open", "Engine_Run", "Engine_RunEach", "Engine_Start", "Publisher_Publish", "Publisher_PublishMany", "Preflight"},
	"wheel":       {"Wheel_Advance"},
	"scan":        {"Inspector"},
	"lease":       {"Pipeline"},
	"engine/feed": {"New", "Sender_Send", "Batch_Keep", "Batch_SaveState", "Config"},

	"engine/schedule":              {"Runner_Run", "Table_Put", "Table_Sync", "Table_List", "Spec_Next", "Task", "DecodeInfo"},
	"engine/schedule/scheduletest": {"Schedule_HandBack"},
}

// public returns the packages of the library that programs outside this repository can import.
func public(t *testing.T) []*source.Package {
	var found []*source.Package
	for _, p := range library(t) {
		if !strings.Contains("/"+p.Path+"/", "/internal/") {
			found = append(found, p)
		}
	}
	require.NotEmpty(t, found)
	return found
}

// packageComment is the comment above the clause in doc.go.
func packageComment(p *source.Package) string {
	for _, file := range p.Files {
		if file.Doc != nil {
			return file.Doc.Text()
		}
	}
	return ""
}

func TestPackageComments(t *testing.T) {
	for _, p := range public(t) {
		text := packageComment(p)
		first := new(doc.Package).Synopsis(text)
		if !strings.HasPrefix(first, "Package "+p.Types.Name()+" ") {
			t.Errorf("%s: the package comment begins with %q, not with Package %s", short(p.Path), first, p.Types.Name())
		}
		if rest := strings.TrimSpace(text); len(rest) <= len(first)+1 {
			t.Errorf("%s: the package comment is one sentence; say when to use it, and what comes first", short(p.Path))
		}
		if slices.Contains(inner, short(p.Path)) {
			if !strings.Contains(text, "for this module") {
				t.Errorf("%s: the package comment does not say that the package is for this module", short(p.Path))
			}
		} else if !page.MatchString(text) {
			t.Errorf("%s: the package comment names no page of the documentation", short(p.Path))
		}
	}
}

// page matches the path of a page of the documentation.
var page = regexp.MustCompile(`\bdocs/[\w./-]*\.md\b`)

func TestPagesInCommentsExist(t *testing.T) {
	named := 0
	for _, p := range public(t) {
		for _, file := range p.Files {
			for _, group := range file.Comments {
				for _, path := range page.FindAllString(group.Text(), -1) {
					named++
					if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
						t.Errorf("%s: there is no %s", p.Fset.Position(group.Pos()), path)
					}
				}
			}
		}
	}
	require.Greater(t, named, 20)
}

// Whoever has an error finds in the package comment what it means: its name, or a heading under which all are explained.
func TestPackageCommentsExplainErrors(t *testing.T) {
	for _, p := range public(t) {
		text := packageComment(p)
		if slices.Contains(inner, short(p.Path)) || strings.Contains(text, "# Errors\n") {
			continue
		}
		for _, name := range p.Types.Scope().Names() {
			if regexp.MustCompile(`^Err[A-Z]`).MatchString(name) && !strings.Contains(text, "["+name+"]") {
				t.Errorf("%s: the package comment does not mention %s", short(p.Path), name)
			}
		}
	}
}

func TestPackagesHaveExamples(t *testing.T) {
	listed := 0
	for _, p := range public(t) {
		examples := map[string]bool{}
		for _, e := range doc.Examples(testFiles(t, p)...) {
			name := e.Name
			if e.Suffix != "" {
				name = strings.TrimSuffix(name, "_"+e.Suffix)
			}
			examples[name] = true
		}
		if len(examples) == 0 && !slices.Contains(inner, short(p.Path)) {
			t.Errorf("%s has no example", short(p.Path))
		}
		for _, name := range shown[short(p.Path)] {
			listed++
			if !examples[name] {
				t.Errorf("%s has no Example%s", short(p.Path), name)
			}
		}
	}
	all := 0
	for _, names := range shown {
		all += len(names)
	}
	require.Equal(t, all, listed, "a package in shown does not exist")
}

func testFiles(t *testing.T, p *source.Package) []*ast.File {
	dir := filepath.Dir(p.Fset.Position(p.Files[0].Pos()).Filename)
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	files := make([]*ast.File, len(paths))
	for i, path := range paths {
		files[i], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
	}
	return files
}

// Every exported name has a comment that begins with it, after an article at most; constants and variables of a group may share
// that of the group. Every exported field, and method of an interface, is explained above or beside it, or with its neighbors.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range public(t) {
		for _, file := range p.Files {
			for _, decl := range file.Decls {
				for _, fault := range undocumented(p.Fset, decl) {
					t.Errorf("%s: %s", p.Fset.Position(fault.at), fault.what)
				}
			}
		}
	}
}

type fault struct {
	at   token.Pos
	what string
}

func undocumented(fset *token.FileSet, decl ast.Decl) (faults []fault) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if isShown(d) {
			faults = appendFault(faults, d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					comment := either(s.Doc, d.Doc)
					faults = appendFault(faults, s.Name, comment)
					faults = append(faults, undocumentedFields(fset, s, comment)...)
				}
			case *ast.ValueSpec:
				shared := d.Doc != nil && d.Lparen.IsValid()
				for _, name := range s.Names {
					if own := either(s.Doc, s.Comment); name.IsExported() && own == nil && !shared && !mentioned(d, name.Name) {
						faults = appendFault(faults, name, d.Doc)
					}
				}
			}
		}
	}
	return faults
}

// isShown reports whether go doc shows a function: it is exported, and so is the type that it is a method of.
func isShown(d *ast.FuncDecl) bool {
	return d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv.List[0].Type))
}

func exportedReceiver(expr ast.Expr) bool {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return exportedReceiver(e.X)
	case *ast.IndexExpr:
		return exportedReceiver(e.X)
	case *ast.Ident:
		return e.IsExported()
	}
	return false
}

func either(groups ...*ast.CommentGroup) *ast.CommentGroup {
	for _, g := range groups {
		if g != nil {
			return g
		}
	}
	return nil
}

func appendFault(faults []fault, name *ast.Ident, group *ast.CommentGroup) []fault {
	if group == nil || strings.TrimSpace(group.Text()) == "" {
		return append(faults, fault{name.Pos(), name.Name + " has no comment"})
	}
	begins := regexp.MustCompile(`^(?:(?:A|An|The) )?` + name.Name + `\b`)
	if !begins.MatchString(group.Text()) {
		return append(faults, fault{name.Pos(), fmt.Sprintf("the comment of %s does not begin with its name", name.Name)})
	}
	return faults
}

// mentioned reports whether the comment of another value of a group explains this one, too.
func mentioned(d *ast.GenDecl, name string) bool {
	return slices.ContainsFunc(d.Specs, func(spec ast.Spec) bool {
		s, ok := spec.(*ast.ValueSpec)
		return ok && s.Doc != nil && regexp.MustCompile(`\b`+name+`\b`).MatchString(s.Doc.Text())
	})
}

// undocumentedFields looks at the exported fields of a struct, and at the methods of an interface. Those on lines that follow each
// other, without an empty one, may share a comment, and the comment of the type may explain some by their names.
func undocumentedFields(fset *token.FileSet, s *ast.TypeSpec, comment *ast.CommentGroup) (faults []fault) {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	line := func(pos token.Pos) int { return fset.Position(pos).Line }
	for rest := list.List; len(rest) > 0; {
		block := rest[:1]
		for len(block) < len(rest) {
			next := rest[len(block)]
			begin := next.Pos()
			if next.Doc != nil {
				begin = next.Doc.Pos()
			}
			if line(begin) > line(block[len(block)-1].End())+1 {
				break
			}
			block = rest[:len(block)+1]
		}
		rest = rest[len(block):]
		if slices.ContainsFunc(block, func(f *ast.Field) bool { return either(f.Doc, f.Comment) != nil }) {
			continue
		}
		for _, field := range block {
			for _, name := range field.Names {
				explained := comment != nil && regexp.MustCompile(`\b`+name.Name+`\b`).MatchString(comment.Text())
				if name.IsExported() && !explained {
					faults = append(faults, fault{name.Pos(), s.Name.Name + "." + name.Name + " has no comment"})
				}
			}
		}
	}
	return faults
}
