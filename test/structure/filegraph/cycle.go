package filegraph

import (
	"cmp"
	"slices"
)

// Cycles returns the sets of two or more files in which each depends on each, if only through others: the strongly
// connected components of the graph. The largest comes first, and each is sorted.
func (g *Graph) Cycles() [][]string {
	t := tarjan{next: map[string][]string{}, number: map[string]int{}, low: map[string]int{}, open: map[string]bool{}}
	for _, e := range g.Edges {
		t.next[e.From] = append(t.next[e.From], e.To)
	}
	for _, f := range g.Files {
		if t.number[f.Name] == 0 {
			t.visit(f.Name)
		}
	}
	slices.SortFunc(t.cycles, func(a, b []string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a[0], b[0]))
	})
	return t.cycles
}

// tarjan is the state of Tarjan's algorithm for strongly connected components.
type tarjan struct {
	next   map[string][]string
	number map[string]int // order of the first visit, from 1
	low    map[string]int // lowest number known to be reachable
	stack  []string
	open   map[string]bool // on the stack
	cycles [][]string
}

func (t *tarjan) visit(file string) {
	t.number[file] = len(t.number) + 1
	t.low[file] = t.number[file]
	t.stack = append(t.stack, file)
	t.open[file] = true
	for _, to := range t.next[file] {
		if t.number[to] == 0 {
			t.visit(to)
			t.low[file] = min(t.low[file], t.low[to])
		} else if t.open[to] {
			t.low[file] = min(t.low[file], t.number[to])
		}
	}
	if t.low[file] != t.number[file] {
		return
	}
	at := slices.Index(t.stack, file)
	component := slices.Sorted(slices.Values(t.stack[at:]))
	t.stack = t.stack[:at]
	for _, f := range component {
		t.open[f] = false
	}
	if len(component) > 1 {
		t.cycles = append(t.cycles, component)
	}
}
