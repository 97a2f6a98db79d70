package filegraph_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/filegraph"
	"github.com/streamlease/streamlease/test/structure/source"
)

func TestGraph(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"chain", `
3 files, 12 lines, 3 edges, no cycle
edges:
	a.go -> b.go 2: B
	a.go -> c.go 1: c
	b.go -> c.go 1: c
`},
		{"methods", `
3 files, 14 lines, 3 edges, 1 cycle
cycle of 2 files, 9 lines, 64 % of all:
	close.go
	door.go
edges:
	close.go -> door.go 2: Door Open
	door.go -> close.go 1: close
	user.go -> door.go 2: Door Slam
`},
		{"fields", `
3 files, 20 lines, 2 edges, no cycle
edges:
	literal.go -> point.go 3: point x y
	selector.go -> point.go 4: next origin x y
`},
		// Each of the three selectors passes both embedded fields.
		{"embedded", `
5 files, 26 lines, 7 edges, no cycle
edges:
	middle.go -> base.go 1: base
	outer.go -> middle.go 1: middle
	source.go -> outer.go 2: outer
	user.go -> base.go 3: Dig depth
	user.go -> middle.go 3: base
	user.go -> outer.go 4: middle outer
	user.go -> source.go 1: fresh
`},
		{"generic", `
4 files, 22 lines, 4 edges, no cycle
edges:
	maker.go -> list.go 1: list
	maker.go -> number.go 1: number
	user.go -> list.go 4: head push
	user.go -> maker.go 1: make2
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			packages, err := source.Load("testdata/"+c.name, ".")
			require.NoError(t, err)
			require.Len(t, packages, 1)
			var b strings.Builder
			require.NoError(t, filegraph.Of(packages[0]).Print(&b, filegraph.Names))
			_, text, _ := strings.Cut(b.String(), ": ")
			require.Equal(t, strings.TrimPrefix(c.want, "\n"), text)
		})
	}
}

// Several cycles, some of which touch: only files that reach each other are in one.
func TestCycles(t *testing.T) {
	g := &filegraph.Graph{}
	for _, name := range strings.Fields("a b c d e f g h i") {
		g.Files = append(g.Files, filegraph.File{Name: name})
	}
	for _, ends := range strings.Fields("ab bc ca cd de ed ef gh hi ig gi ha") {
		g.Edges = append(g.Edges, filegraph.Edge{From: ends[:1], To: ends[1:]})
	}
	require.Equal(t, [][]string{{"a", "b", "c"}, {"g", "h", "i"}, {"d", "e"}}, g.Cycles())
}
