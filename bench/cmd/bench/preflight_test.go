package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPreflightIsPartOfBench(t *testing.T) {
	parallel(t)
	out, err := bench(t, "preflight", "--rules", "--service", "orders", "--partitions", "16", "-redis", "redis://127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "ACL SETUSER orders on >password resetchannels ~orders-input")
	requireRefused(t, "preflight", "--rules", "--service", "or{ders")
	_, err = bench(t, "preflight")
	require.Error(t, err)
}
