package filegraph

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"

	"github.com/streamlease/streamlease/test/structure/source"
)

// Graph is how the non-test files of one package depend on each other.
type Graph struct {
	Package string // import path
	Files   []File // sorted by name
	Edges   []Edge // sorted by From, then To
}

// File is a node of the graph.
type File struct {
	Name  string
	Lines int
}

// Edge is one file's use of what another declares.
type Edge struct {
	From, To string
	Uses     int      // how often
	Names    []string // what is used, sorted; methods and fields without their type
}

// Of computes the graph of a package.
func Of(p *source.Package) *Graph {
	g := &Graph{Package: p.Path}
	for _, f := range p.Files {
		file := p.Fset.File(f.FileStart)
		g.Files = append(g.Files, File{Name: filepath.Base(file.Name()), Lines: file.LineCount()})
	}
	slices.SortFunc(g.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })

	u := uses{pkg: p, count: map[[2]string]map[string]int{}}
	for id, obj := range p.Info.Uses {
		u.add(id.Pos(), obj)
	}
	for sel, s := range p.Info.Selections {
		u.addEmbedded(sel, s)
	}
	for ends, names := range u.count {
		e := Edge{From: ends[0], To: ends[1], Names: slices.Sorted(maps.Keys(names))}
		for _, n := range names {
			e.Uses += n
		}
		g.Edges = append(g.Edges, e)
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return g
}

// Lines is the number of lines of all files.
func (g *Graph) Lines() int {
	n := 0
	for _, f := range g.Files {
		n += f.Lines
	}
	return n
}

// LinesOf is the number of lines of the files with these names.
func (g *Graph) LinesOf(names []string) int {
	n := 0
	for _, f := range g.Files {
		if slices.Contains(names, f.Name) {
			n += f.Lines
		}
	}
	return n
}

// uses counts, per pair of files, what one uses of the other, by name.
type uses struct {
	pkg   *source.Package
	count map[[2]string]map[string]int
}

// add counts a use of obj at pos, if another file of the package declares it.
func (u *uses) add(pos token.Pos, obj types.Object) {
	if obj == nil || obj.Pkg() != u.pkg.Types {
		return
	}
	from, to := u.file(pos), u.file(obj.Pos())
	if from == to {
		return
	}
	ends := [2]string{from, to}
	if u.count[ends] == nil {
		u.count[ends] = map[string]int{}
	}
	u.count[ends][obj.Name()]++
}

// addEmbedded counts the embedded fields that a selector passes without naming them. What it names is counted with the
// identifiers.
func (u *uses) addEmbedded(sel *ast.SelectorExpr, s *types.Selection) {
	t := s.Recv()
	path := s.Index()
	for _, i := range path[:len(path)-1] {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		field := t.Underlying().(*types.Struct).Field(i)
		u.add(sel.Sel.Pos(), field)
		t = field.Type()
	}
}

func (u *uses) file(pos token.Pos) string {
	return filepath.Base(u.pkg.Fset.File(pos).Name())
}
