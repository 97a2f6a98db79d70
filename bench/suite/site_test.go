package suite

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinksAreWhereAProxyCanStand(t *testing.T) {
	for url, want := range map[string]string{
		"redis://user:secret@host:6379/2?dial_timeout=3s": "",
		"valkey://host":                          "",
		"rediss://host:6379":                     "what goes over TLS",
		"redis://host:6379?addr=other:6379":      "several nodes",
		"redis://host:26379?master_set=mymaster": "a server that Sentinels tell of",
		"unix:///run/redis.sock":                 "a socket that is a file",
	} {
		addr, why := (&site{url: url}).front()
		require.Equal(t, want, why, url)
		if why == "" {
			require.Equal(t, "host:6379", addr, url)
		}
	}
	_, why := (&site{url: "redis://host:6379", cluster: true}).front()
	require.Equal(t, "several nodes", why)
	by, err := (&site{url: "redis://user:secret@host:6379/2?dial_timeout=3s"}).by("127.0.0.1:9")
	require.NoError(t, err)
	require.Equal(t, "redis://user:secret@127.0.0.1:9/2?dial_timeout=3s", by)
	_, err = (&site{url: "redis://:secret\n@host"}).by("127.0.0.1:9")
	require.NotContains(t, err.Error(), "secret")
}
