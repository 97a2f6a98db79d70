package filegraph

import (
	"fmt"
	"io"
	"strings"
)

// Detail is how much Print writes about edges.
type Detail int

const (
	Summary Detail = iota // their number
	Edges                 // each, with the number of uses
	Names                 // and what is used
)

// Print writes the figures of the graph, its cycles with their files, and its edges as far as detail asks for them.
func (g *Graph) Print(w io.Writer, detail Detail) error {
	var b strings.Builder
	cycles := g.Cycles()
	fmt.Fprintf(&b, "%s: %d files, %d lines, %d edges, %s\n",
		g.Package, len(g.Files), g.Lines(), len(g.Edges), count(len(cycles), "cycle"))
	for _, c := range cycles {
		lines := g.LinesOf(c)
		fmt.Fprintf(&b, "cycle of %d files, %d lines, %.0f %% of all:\n", len(c), lines, 100*float64(lines)/float64(g.Lines()))
		for _, name := range c {
			fmt.Fprintf(&b, "\t%s\n", name)
		}
	}
	if detail > Summary {
		b.WriteString("edges:\n")
		for _, e := range g.Edges {
			fmt.Fprintf(&b, "\t%s -> %s %d", e.From, e.To, e.Uses)
			if detail == Names {
				fmt.Fprintf(&b, ": %s", strings.Join(e.Names, " "))
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
