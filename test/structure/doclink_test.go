package main

import (
	"go/ast"
	"go/doc/comment"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/source"
)

// repository is where a page is that a comment links to: a link of pkg.go.dev has to lead somewhere.
const repository = "https://github.com/streamlease/streamlease/blob/main/"

// bracketed matches what looks like a link to a name and, since it is still text after parsing, is none.
var bracketed = regexp.MustCompile(`\[\*?(?:[a-z]\w*\.)?[A-Z]\w*(?:\.[A-Z]\w*)?\]`)

// Every [Name] in a comment that go doc shows is a link: to a name of the package, or of one that the file imports.
func TestDocLinksResolve(t *testing.T) {
	links := 0
	for _, p := range public(t) {
		for _, file := range p.Files {
			for _, group := range shownComments(file) {
				parser := linkParser(p)
				for _, text := range texts(parser.Parse(group.Text())) {
					switch text := text.(type) {
					case *comment.DocLink:
						links++
						if !resolves(p, text) {
							t.Errorf("%s: there is no %s", p.Fset.Position(group.Pos()), plain(text.Text))
						}
					case comment.Plain:
						for _, match := range bracketed.FindAllString(string(text), -1) {
							t.Errorf("%s: %s is no link", p.Fset.Position(group.Pos()), match)
						}
					}
				}
			}
		}
	}
	require.Greater(t, links, 300)
}

// A page of the documentation that a comment links to is the one that the link names.
func TestLinksToPagesLeadThere(t *testing.T) {
	linked := 0
	for _, p := range public(t) {
		for _, file := range p.Files {
			if file.Doc == nil {
				continue
			}
			for _, def := range linkParser(p).Parse(file.Doc.Text()).Links {
				linked++
				require.True(t, def.Used, "%s: nothing links to %s", p.Path, def.Text)
				if path, ours := strings.CutPrefix(def.URL, repository); !ours || path != def.Text {
					t.Errorf("%s: [%s] leads to %s, not to %s", p.Path, def.Text, def.URL, repository+def.Text)
				}
				require.FileExists(t, filepath.Join("../..", def.Text))
			}
		}
	}
	require.Positive(t, linked)
}

// shownComments are those that go doc shows: of the package, of exported names, and of exported fields.
func shownComments(file *ast.File) (groups []*ast.CommentGroup) {
	add := func(found ...*ast.CommentGroup) {
		for _, g := range found {
			if g != nil {
				groups = append(groups, g)
			}
		}
	}
	add(file.Doc)
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if isShown(d) {
				add(d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						add(d.Doc, s.Doc)
					}
				case *ast.ValueSpec:
					if s.Names[0].IsExported() {
						add(d.Doc, s.Doc)
					}
				}
			}
		}
	}
	return groups
}

// linkParser takes for a link what go doc does: names of the package, and of packages that are imported.
func linkParser(p *source.Package) *comment.Parser {
	return &comment.Parser{
		LookupPackage: func(name string) (string, bool) {
			if name == p.Types.Name() {
				return p.Path, true
			}
			for _, other := range p.Types.Imports() {
				if other.Name() == name {
					return other.Path(), true
				}
			}
			return "", false
		},
		LookupSym: func(recv, name string) bool { return declares(p.Types, recv, name) },
	}
}

// resolves reports whether there is what a link names, which go doc does not ask of other packages.
func resolves(p *source.Package, l *comment.DocLink) bool {
	for _, other := range p.Types.Imports() {
		if other.Path() == l.ImportPath {
			return l.Name == "" || declares(other, l.Recv, l.Name)
		}
	}
	return true // of the package itself: looked up already
}

func declares(in *types.Package, recv, name string) bool {
	if recv == "" {
		return in.Scope().Lookup(name) != nil
	}
	typ, ok := in.Scope().Lookup(recv).(*types.TypeName)
	if !ok {
		return false
	}
	object, _, _ := types.LookupFieldOrMethod(typ.Type(), true, in, name)
	return object != nil
}

func plain(text []comment.Text) (s string) {
	for _, t := range text {
		if p, ok := t.(comment.Plain); ok {
			s += string(p)
		}
	}
	return s
}

// texts are the leaves of a comment, except in code blocks.
func texts(d *comment.Doc) (leaves []comment.Text) {
	var walk func(blocks []comment.Block)
	walk = func(blocks []comment.Block) {
		for _, b := range blocks {
			switch b := b.(type) {
			case *comment.Paragraph:
				leaves = append(leaves, b.Text...)
			case *comment.Heading:
				leaves = append(leaves, b.Text...)
			case *comment.List:
				for _, item := range b.Items {
					walk(item.Content)
				}
			}
		}
	}
	walk(d.Content)
	return leaves
}
