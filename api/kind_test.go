package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestKindString(t *testing.T) {
	want := map[api.Kind]string{
		0:              "Kind(0)",
		api.Added:      "Added",
		api.Disowned:   "Disowned",
		api.Expired:    "Expired",
		api.Terminated: "Terminated",
		api.Releasing:  "Releasing",
		api.Superseded: "Superseded",
		api.Signaled:   "Signaled",
		8:              "Kind(8)",
		255:            "Kind(255)",
	}
	for kind, name := range want {
		require.Equal(t, name, kind.String())
	}
}

// The numbers may be stored and sent by programs: they must not change.
func TestKindsKeepTheirNumbers(t *testing.T) {
	require.Equal(t,
		[]api.Kind{1, 2, 3, 4, 5, 6, 7},
		[]api.Kind{api.Added, api.Disowned, api.Expired, api.Terminated, api.Releasing, api.Superseded, api.Signaled})
}

// A kind added to the constants must not be forgotten in String and in Funcs.
func TestEveryKindHasANameAndAFunc(t *testing.T) {
	kinds := kindConstants(t)
	require.Len(t, kinds, 7, "cover the new kind in the tests of Funcs too")
	for i, name := range kinds {
		require.Equal(t, name, api.Kind(i+1).String())
	}
}

// kindConstants returns the names of the constants in kind.go, in order.
func kindConstants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kind.go", nil, 0)
	require.NoError(t, err)
	var names []string
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func TestMaxTokenIsExactAsAFloat(t *testing.T) {
	for _, token := range []api.Token{api.MaxToken - 1, api.MaxToken} {
		require.Equal(t, token, api.Token(float64(token)))
	}
	over := api.MaxToken + 2
	require.NotEqual(t, over, api.Token(float64(over)))
}
