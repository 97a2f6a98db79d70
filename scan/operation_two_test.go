package scan_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// overtaken is an inspector that stands still before its n-th call that changes something, until do has returned.
func (o *office) overtaken(n int, do func()) (i *scan.Inspector, at *string) {
	o.t.Helper()
	calls, at := 0, new(string)
	client := &flaky{Client: o.Client, quiet: true, before: func(name string) error {
		if changes(name) {
			if calls++; calls == n {
				*at = name
				do()
			}
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(o.t, err)
	return i, at
}

const manyTokens = "9007199254740000"

// tokensAre checks that no partition mints a token below one that another has minted.
func (o *office) tokensAre(layout *cluster.Layout, token, msg string) {
	o.t.Helper()
	for p := range layout.Partitions() {
		require.Equal(o.t, token, o.Text("GET", layout.Keys(p).Token), "partition %d, %s", p, msg)
	}
}

// A consumer started, took something, and was gone again between the look and the record. Its tokens count: it may have minted
// greater ones than anybody before, on a server whose clock is ahead.
func TestTokensThatAreMintedMeanwhileCount(t *testing.T) {
	for _, to := range []int{1, 2, 5} {
		o := newOffice(t, 3)
		o.furnish(1)
		i, at := o.overtaken(1, func() { o.Do("SET", o.layout.Keys(2).Token, manyTokens) })
		_, err := i.Repartition(o.ctx, to, nil)
		require.NoError(t, err)
		require.Equal(t, "stop", *at)
		o.tokensAre(layoutOf(t, to), manyTokens, "to "+strconv.Itoa(to))
	}
}
