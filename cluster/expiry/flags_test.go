package expiry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster/expiry"
)

func TestFlags(t *testing.T) {
	const byKey = "__keyspace@*__:{orders-input*}:lease:*"
	const byEvent = "__keyevent@*__:expired"
	for _, test := range []struct {
		have, missing, pattern string
		reports, chatty        bool
	}{
		{"", "KEx", byEvent, false, false},
		{"Ex", "K", byEvent, true, false},
		{"Kx", "E", byKey, true, false},
		{"KEx", "", byKey, true, false},
		{"xKE", "", byKey, true, false},
		{"AKE", "", byEvent, true, true}, // by key it would bring every renewal
		{"AE", "K", byEvent, true, true},
		{"AK", "E", byKey, true, true}, // there is nothing else
		{"g$K", "Ex", byEvent, false, true},
		{"gxE", "K", byEvent, true, true},
		{"lshKEx", "", byKey, true, false},
		{"KE", "x", byEvent, false, false},
		{"x", "KE", byEvent, false, false},
		{"g", "KEx", byEvent, false, false},
	} {
		flags := expiry.Flags(test.have)
		require.Equal(t, test.missing, flags.Missing(), "%q", test.have)
		require.Equal(t, test.reports, flags.Reports(), "%q", test.have)
		require.Equal(t, test.chatty, flags.Chatty(), "%q", test.have)
		require.Equal(t, test.pattern, expiry.Pattern("orders", flags, true), "%q", test.have)
		require.Equal(t, byEvent, expiry.Pattern("orders", flags, false), "%q", test.have)
	}
}
