package source_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/source"
)

func TestLoad(t *testing.T) {
	packages, err := source.Load("..", "./filegraph", "./source")
	require.NoError(t, err)
	require.Len(t, packages, 2)
	require.Equal(t, "source", packages[0].Types.Name(), "what is imported comes first")
	require.Equal(t, "filegraph", packages[1].Types.Name())
	require.NotNil(t, packages[1].Types.Scope().Lookup("Of"))
	for _, f := range packages[0].Files {
		require.NotContains(t, packages[0].Fset.Position(f.Pos()).Filename, "_test.go")
	}
}

func TestLoadFails(t *testing.T) {
	_, err := source.Load("..", "./nowhere")
	require.ErrorContains(t, err, "nowhere", "the go command's own message")
	_, err = source.Load("nowhere", ".")
	require.Error(t, err)
}
