package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/source"
)

const module = "github.com/streamlease/streamlease"

// load type-checks the packages of the library, once for all tests.
var load = sync.OnceValues(func() ([]*source.Package, error) {
	return source.Load("../..", "./api/...", "./wheel/...", "./cluster/...", "./lease/...", "./scan/...", "./engine/...")
})

func library(t *testing.T) []*source.Package {
	packages, err := load()
	require.NoError(t, err)
	return packages
}

// short is a path without the module's.
func short(path string) string { return strings.TrimPrefix(path, module+"/") }
