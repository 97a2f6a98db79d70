package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPreflight(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	require.Contains(t, s.do(statusDone, "preflight").out, "service shop has 2 partitions")
	require.Contains(t, s.do(statusDone, "-json", "preflight").out, `"service": "shop"`)
	a := s.do(statusFailed, "preflight", "-partitions", "3")
	require.Contains(t, a.out, "WithPartitions(2)")
	require.Contains(t, a.errs, "engines cannot work like this")
	require.Contains(t, s.do(statusDone, "preflight", "-rules").out, "ACL SETUSER shop on >password")
	s.usage("--reads", "preflight", "-trim")
	s.usage("no arguments", "preflight", "shop")
	s.usage("service", "preflight", "-service", "sh{op")
	s.usage("-service is missing", "preflight", "-service", "")
	require.Equal(t, before, s.dump())
}
