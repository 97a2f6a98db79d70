package address

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// of runs a command with a subcommand, and returns the URL that the subcommand sees.
func of(t *testing.T, fallback string, args ...string) (url string) {
	t.Helper()
	c := &cli.Command{Name: "x", Flags: []cli.Flag{Flag()}, Commands: []*cli.Command{{
		Name: "sub",
		Action: func(_ context.Context, c *cli.Command) error {
			url = Of(c, fallback)
			return nil
		},
	}}}
	require.NoError(t, c.Run(t.Context(), append([]string{"x"}, args...)))
	return url
}

func TestTheFlagIsBeforeOrAfterTheSubcommand(t *testing.T) {
	for _, name := range []string{EnvURL, EnvPassword, EnvSentinelPassword} {
		t.Setenv(name, "")
	}
	require.Equal(t, "redis://a", of(t, Default, "-redis", "redis://a", "sub"))
	require.Equal(t, "redis://a", of(t, Default, "sub", "--redis", "redis://a"))
	require.Equal(t, Default, of(t, Default, "sub"))
	require.Empty(t, of(t, "", "sub"))

	t.Setenv(EnvURL, "redis://b")
	require.Equal(t, "redis://b", of(t, Default, "sub"))
	require.Equal(t, "redis://a", of(t, Default, "sub", "-redis=redis://a"))
	require.Empty(t, of(t, "", "sub", "-redis", ""), "private servers, whatever the environment says")

	t.Setenv(EnvPassword, "geheim/1")
	t.Setenv(EnvSentinelPassword, "auch geheim")
	require.Equal(t, "redis://:geheim%2F1@b", of(t, "", "sub"))
	require.Equal(t, "redis://me:geheim%2F1@a", of(t, "", "sub", "-redis", "redis://me@a"))
	require.Equal(t, "redis://me:other@a", of(t, "", "sub", "-redis", "redis://me:other@a"))
	require.Equal(t, "redis://:geheim%2F1@a?master_set=m&sentinel_password=auch+geheim", of(t, "", "sub", "-redis", "redis://a?master_set=m"))
	require.Empty(t, of(t, "", "sub", "-redis", ""))
	require.Equal(t, []string{EnvURL + "=redis://b", EnvPassword + "=", EnvSentinelPassword + "="}, Environ("redis://b"),
		"a private server of a measurement has no password")
}

func TestOption(t *testing.T) {
	o, err := Option("redis://me:geheim@host/3")
	require.NoError(t, err)
	require.Equal(t, []string{"host:6379"}, o.InitAddress)
	require.Equal(t, []any{"me", "geheim", 3}, []any{o.Username, o.Password, o.SelectDB})
	require.Nil(t, o.TLSConfig)

	o, err = Option("redis://host1:7000?addr=host2:7001&addr=host3:7002")
	require.NoError(t, err)
	require.Equal(t, []string{"host1:7000", "host2:7001", "host3:7002"}, o.InitAddress)

	o, err = Option("rediss://host")
	require.NoError(t, err)
	require.Equal(t, "host", o.TLSConfig.ServerName)
	o, err = Option("rediss://10.0.0.1?server_name=redis.example.org")
	require.NoError(t, err)
	require.Equal(t, "redis.example.org", o.TLSConfig.ServerName)

	o, err = Option("rediss://me:geheim@s1:26379?addr=s2:26379&master_set=m&sentinel_user=watch&sentinel_password=auch")
	require.NoError(t, err)
	require.Equal(t, "m", o.Sentinel.MasterSet)
	require.Equal(t, []string{"watch", "auch"}, []string{o.Sentinel.Username, o.Sentinel.Password})
	require.NotNil(t, o.Sentinel.TLSConfig, "Sentinels have TLS where servers do")
	require.Empty(t, o.Sentinel.TLSConfig.ServerName, "each is known by its own address")
	require.Empty(t, o.TLSConfig.ServerName)
}

func TestErrorsSayWhatIsWrongAndNoSecret(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for url, want := range map[string]string{
		"127.0.0.1:6379":                         "not the URL of a Redis server, as redis://user@host:6379",
		"http://host":                            "invalid URL scheme",
		"redis://host/database":                  "invalid database number",
		"redis://host?mastr_set=m":               `"mastr_set" is not a parameter of the URL; there are addr, master_set`,
		"redis://host?a;b":                       "the parameters of the URL",
		"redis://host?ca=x":                      "are for TLS: rediss://",
		"rediss://host?ca=" + absent:             "ca: open " + absent,
		"rediss://host?ca=address_test.go":       "has no certificate in PEM",
		"rediss://host?cert=" + absent:           "cert and key: open " + absent,
		"redis://:geheim/x@host":                 "cannot be parsed (in user and password, write special characters as %2F",
		"redis://:geheim\n@host":                 "cannot be parsed",
		"redis://host/geheim@/x":                 "cannot be parsed",
		"redis://h/x/y?sentinel_password=geheim": "cannot be parsed",
	} {
		_, err := Option(url)
		require.ErrorContains(t, err, "-redis: ", url)
		require.ErrorContains(t, err, want, url)
		require.NotContains(t, err.Error(), "geheim")
	}
}

func TestRedacted(t *testing.T) {
	require.Equal(t, "redis://me:xxxxx@host", Redacted("redis://me:geheim@host"))
	require.Equal(t, "redis://host?master_set=m&sentinel_password=xxxxx", Redacted("redis://host?master_set=m&sentinel_password=geheim"))
	require.Equal(t, "the URL given", Redacted("redis://:geheim\n@host"))
}
