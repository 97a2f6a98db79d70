package scan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

func TestInspectorFindsTheLayout(t *testing.T) {
	f := newFleet(t, 3)
	n, err := f.inspector().Partitions(f.ctx)
	require.NoError(t, err)
	require.Equal(t, 3, n)

	stranger, err := scan.NewInspector(f.Client, "nobody", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = stranger.Partitions(f.ctx)
	require.ErrorIs(t, err, scan.ErrUnknownService)
	require.ErrorContains(t, err, "{nobody-input}:meta")
	require.Zero(t, f.Num("EXISTS", "{nobody-input}:meta"), "looking writes nothing")
	told, err := scan.NewInspector(f.Client, "nobody", scan.InspectorConfig{Partitions: 2})
	require.NoError(t, err)
	require.Empty(t, collect(t, told, scan.Selection{}))

	f.Do("HSET", "{shop-input}:meta", "format", "9")
	_, err = f.inspector().Partitions(f.ctx)
	require.ErrorIs(t, err, api.ErrFormat)

	for _, c := range []scan.InspectorConfig{{Page: -1}, {Page: 1001}, {Timeout: -1}, {Partitions: 5000}, {Partitions: -1}} {
		_, err := scan.NewInspector(f.Client, "shop", c)
		require.ErrorIs(t, err, api.ErrInvalidConfig, "%+v", c)
	}
	_, err = scan.NewInspector(f.Client, "sh{op", scan.InspectorConfig{})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = scan.NewInspector(nil, "shop", scan.InspectorConfig{})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// A client that is connected to a replica gets an error instead of stale answers.
func TestInspectorRefusesReplicas(t *testing.T) {
	f := newFleet(t, 1)
	replica := servers.New(t, servers.ReplicaOf(f.server)).Client(t)
	i, err := scan.NewInspector(replica, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Partitions(f.ctx)
	require.ErrorContains(t, err, "READONLY")
	require.ErrorContains(t, err, "point it at the master")
	i, err = scan.NewInspector(replica, "shop", scan.InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	for _, err := range i.Letters(f.ctx, scan.Selection{}) {
		require.ErrorContains(t, err, "READONLY")
	}
}

// Inspection needs no write permission.
func TestInspectorLooksWithoutTheRightToWrite(t *testing.T) {
	f := fleetWithLetters(t)
	f.Do("ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+@read", "+@scripting", "+@connection", "+time")
	opt := f.server.ClientOption()
	opt.Username, opt.Password = "reader", "secret"
	client := dial(t, opt)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	require.Len(t, collect(t, i, scan.Selection{}), 17)
	_, err = i.Drop(f.ctx, scan.Selection{})
	require.Error(t, err)
	require.True(t, strings.Contains(err.Error(), "grant"), "%v", err)
}
