package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// granted are the rights of docs/acl.md for an engine that reads all keys of a server.
var granted = []string{"ACL", "SETUSER", "chat", "reset", "on", ">secret", "resetchannels", "~*", "+ping", "+time", "+evalsha", "+eval", "+info",
	"+cluster|slots", "+cluster|shards", "+client|unblock", "+xreadgroup", "+xadd", "+xack", "+xdel", "+xclaim", "+xpending", "+xrange", "+xlen",
	"+xgroup|create", "+xgroup|createconsumer", "+xgroup|delconsumer", "+xinfo|consumers", "+xinfo|groups", "+pexpire", "+zadd", "+zrem",
	"+zscore", "+zcount", "+zrangebyscore", "+zcard", "+zrange", "+get", "+set", "+mget", "+del", "+pexpireat", "+pttl", "+hmget", "+hset",
	"+hdel", "+hscan", "+hsetnx"}

// All rights that are missing are named in one line at the start, and in the error of Mode Tracking; where all are there, nobody asks for
// more, so ACL LOG stays empty.
func TestMissingRightsAreNamedAtTheStart(t *testing.T) {
	for _, p := range servers.Available(t, servers.Programs()...) {
		t.Run(p.String(), func(t *testing.T) {
			server := servers.New(t, servers.On(p))
			admin := server.Client(t)
			user := func(more ...string) {
				t.Helper()
				rules := append(append([]string(nil), granted...), more...)
				require.NoError(t, admin.Do(t.Context(), admin.B().Arbitrary(rules...).Build()).Error())
			}
			opt := server.ClientOption()
			opt.Username, opt.Password = "chat", "secret"

			user("-hset", "-hscan")
			l := startLive(t, opt, feed.Config{Trim: feed.TrimHandled}, nil)
			l.announce("a")
			until(t, "the rights are named", func() bool { return l.log.Has("rights to read streams are missing") })
			for _, right := range []string{"+xread", "+xinfo|stream", "+xtrim", "+client|tracking", "+hset", "+hscan"} {
				require.Contains(t, l.log.String(), right)
			}
			require.NoError(t, l.stop())

			e, err := engine.Open(opt, service, engine.WithDrainTimeout(time.Second))
			require.NoError(t, err)
			f, err := feed.New(e, func(context.Context, *feed.Batch) error { return nil }, feed.Config{Mode: feed.Tracking})
			require.NoError(t, err)
			err = f.Run(t.Context())
			require.ErrorIs(t, err, feed.ErrTrackingRefused)
			require.ErrorContains(t, err, "user lacks +xread +xinfo|stream +client|tracking")
			require.NotContains(t, err.Error(), "xtrim")

			user("+xread", "+xinfo|stream", "+xtrim", "+client|tracking")
			require.NoError(t, admin.Do(t.Context(), admin.B().Arbitrary("ACL", "LOG", "RESET").Build()).Error())
			opt.ClientSetInfo = []string{"disable"}
			l = startLive(t, opt, feed.Config{Trim: feed.TrimHandled, Mode: feed.Tracking}, nil)
			l.announce("a")
			l.call("XADD a 1-0 n 1")
			l.sees("a", "1-0")
			require.NoError(t, l.stop())
			require.False(t, l.log.Has("rights to read streams are missing"))
			entries, err := admin.Do(t.Context(), admin.B().Arbitrary("ACL", "LOG").Build()).ToArray()
			require.NoError(t, err)
			for _, e := range entries {
				require.NotRegexp(t, "xread|xinfo|xtrim|tracking|whoami|dryrun|hset|hscan", e.String())
			}
		})
	}
}
