package address

import (
	"net/url"
	"os"

	"github.com/urfave/cli/v3"
)

// Environment variables.
const (
	EnvURL              = "STREAMLEASE_REDIS_URL"
	EnvPassword         = "STREAMLEASE_REDIS_PASSWORD"
	EnvSentinelPassword = "STREAMLEASE_REDIS_SENTINEL_PASSWORD"
)

// Default is the URL where none is given, for commands that do not start servers of their own.
const Default = "redis://127.0.0.1:6379"

const flagName = "redis"

// usage is the same in all commands.
const usage = "URL of Redis, as redis://user@host:6379, with rediss for TLS, else that in $" + EnvURL + "; the password is in $" + EnvPassword

// Help explains the flag, for the description of a command.
const Help = "Where Redis is: -redis URL, before or after the subcommand, or $" + EnvURL + `.

   one server   redis://user@host:6379, unix:///path/to/socket
   TLS          rediss://user@host:6379, with ?ca=FILE, ?cert=FILE&key=FILE, ?server_name=NAME, or ?skip_verify
   a cluster    redis://user@host1:6379, where more nodes are ?addr=host2:6379&addr=host3:6379
   Sentinels    redis://user@sentinel1:26379?addr=sentinel2:26379&master_set=NAME, with &sentinel_user=NAME

Everybody on the host can read a command line, so passwords belong in $` + EnvPassword + ` and $` + EnvSentinelPassword + `,
or in the URL in $` + EnvURL + `. Without a URL, measurements start private servers, and what works on a service uses
` + Default + "."

// Flag returns the flag, for the top of a command with subcommands: it may stand before or after the subcommand.
func Flag() cli.Flag { return &cli.StringFlag{Name: flagName, Usage: usage} }

// Given reports whether the flag is on the command line.
func Given(c *cli.Command) bool { return c.IsSet(flagName) }

// Args returns the flag as it is on the command line of c, for a command that runs others.
func Args(c *cli.Command) []string {
	if !Given(c) {
		return nil
	}
	return []string{"-" + flagName, c.String(flagName)}
}

// Of returns the URL of the flag, else that of the environment, else fallback, with the secrets of the environment filled in. An empty flag
// means fallback, whatever the environment says. Empty stays empty.
func Of(c *cli.Command, fallback string) string {
	text := c.String(flagName)
	if !Given(c) {
		text = os.Getenv(EnvURL)
	}
	if text == "" {
		text = fallback
	}
	return withSecrets(text, os.Getenv(EnvPassword), os.Getenv(EnvSentinelPassword))
}

// withSecrets fills in passwords that a URL does not have. What is not a URL stays as it is: Option says so.
func withSecrets(text, password, sentinel string) string {
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return text
	}
	if _, has := u.User.Password(); !has && password != "" {
		u.User = url.UserPassword(u.User.Username(), password)
	}
	q := u.Query()
	if q.Has(masterSet) && !q.Has(sentinelPassword) && sentinel != "" {
		q.Set(sentinelPassword, sentinel)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// Environ returns the variables with which a child process finds the Redis of its parent: a URL with all its secrets, and no other ones.
func Environ(text string) []string {
	return []string{EnvURL + "=" + text, EnvPassword + "=", EnvSentinelPassword + "="}
}

// OfParent returns the URL that the parent of this process passed on.
func OfParent() string { return os.Getenv(EnvURL) }
