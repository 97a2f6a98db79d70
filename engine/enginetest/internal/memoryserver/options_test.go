package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	o, err := parse([]string{"--port", "7000", "--bind", "127.0.0.1", "--daemonize", "no", "--dir", "/tmp", "--save", "",
		"--repl-diskless-sync-delay", "0", "--appendonly", "no", "--requirepass", "secret", "--masterauth", "secret",
		"--notify-keyspace-events", "Ex"})
	require.NoError(t, err)
	require.Equal(t, options{"127.0.0.1:7000", "secret", map[string]string{"notify-keyspace-events": "Ex"}}, o)
}

// TestOptionsThatCannotBeMetAreRefused: a test that asks for a replica, or for data on disk, must not run without.
func TestOptionsThatCannotBeMetAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--appendonly", "yes"}, {"--maxmemory", "2mb"}, {"--replicaof", "127.0.0.1 7000"}, {"--save", "60 1"}, {"--port"}, {"redis.conf"},
		{"--cluster-enabled", "yes"}, {"--tls-port", "1"},
	} {
		_, err := parse(args)
		require.Error(t, err, "%q", args)
	}
}
