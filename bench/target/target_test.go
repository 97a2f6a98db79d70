package target

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinksAreWhereAProxyCanStand(t *testing.T) {
	for url, want := range map[string]string{
		"redis://user:secret@host:6379/2?dial_timeout=3s": "",
		"valkey://host":                          "",
		"rediss://host:6379":                     "a connection over TLS",
		"redis://host:6379?addr=other:6379":      "several nodes",
		"redis://host:26379?master_set=mymaster": "a server behind Sentinels",
		"unix:///run/redis.sock":                 "a Unix socket",
	} {
		addr, why := (&Target{URL: url}).SingleAddr()
		require.Equal(t, want, why, url)
		if why == "" {
			require.Equal(t, "host:6379", addr, url)
		}
	}
	_, why := (&Target{URL: "redis://host:6379", Cluster: true}).SingleAddr()
	require.Equal(t, "several nodes", why)
	by, err := (&Target{URL: "redis://user:secret@host:6379/2?dial_timeout=3s"}).Via("127.0.0.1:9")
	require.NoError(t, err)
	require.Equal(t, "redis://user:secret@127.0.0.1:9/2?dial_timeout=3s", by)
	_, err = (&Target{URL: "redis://:secret\n@host"}).Via("127.0.0.1:9")
	require.NotContains(t, err.Error(), "secret")
}
