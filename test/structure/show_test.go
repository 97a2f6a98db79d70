package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/filegraph"
)

func TestShow(t *testing.T) {
	var b strings.Builder
	require.NoError(t, show(&b, "filegraph/testdata/chain", filegraph.Edges))
	require.Equal(t, module+`/test/structure/filegraph/testdata/chain: 3 files, 12 lines, 3 edges, no cycle
edges:
	a.go -> b.go 2
	a.go -> c.go 1
	b.go -> c.go 1
`, b.String())

	b.Reset()
	require.NoError(t, show(&b, "../structure/...", filegraph.Summary))
	require.Contains(t, b.String(), module+"/test/structure: ")
	require.Contains(t, b.String(), module+"/test/structure/filegraph: ")
}
