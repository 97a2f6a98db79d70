package starting

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// user gives a user these rules, and returns how it connects.
func user(t *testing.T, server *servers.Server, rules ...string) rueidis.ClientOption {
	t.Helper()
	_, err := server.Call(t.Context(), append([]string{"ACL", "SETUSER", "chat", "reset", "on", ">secret"}, rules...)...)
	require.NoError(t, err)
	opt := server.ClientOption()
	opt.Username, opt.Password = "chat", "secret"
	return opt
}

// without returns rules without some of them.
func without(rules []string, less ...string) (left []string) {
	for _, r := range rules {
		if !strings.Contains(" "+strings.Join(less, " ")+" ", " "+r+" ") {
			left = append(left, r)
		}
	}
	return left
}

// A start that lacks rights names all of them, at once, with the command that grants them; and that is enough to start.
func TestMissingRightsAreNamedTogether(t *testing.T) {
	all := preflight.Rules(service, 1, preflight.Always, preflight.ToSettle)
	for name, less := range map[string][]string{
		"commands of scripts":    {"+xclaim", "+zadd", "+xgroup|create", "+pexpireat"},
		"the first of all":       {"+hsetnx", "+xdel"},
		"keys":                   {"~{orders-input}*"},
		"one only":               {"+xack"},
		"commands of the engine": {"+info", "+xreadgroup"},
	} {
		for _, more := range [][]string{nil, {"+acl|whoami", "+acl|dryrun"}} {
			t.Run(name, func(t *testing.T) {
				server := servers.New(t)
				rules := append(without(all, less...), more...)
				err := start(t, user(t, server, rules...))
				require.ErrorIs(t, err, api.ErrMissingRights)
				_, grant, found := strings.Cut(err.Error(), "(ACL SETUSER ")
				require.True(t, found, err)
				grant, _, _ = strings.Cut(grant, ")")
				granted := strings.Fields(grant)[1:]
				if name == "keys" {
					require.Subset(t, granted, less)
				} else {
					require.ElementsMatch(t, less, granted, err)
				}
				r := run(t, user(t, server, append(rules, granted...)...))
				r.untilReady()
			})
		}
	}
}

// So does a publisher.
func TestMissingRightsOfAPublisherAreNamedTogether(t *testing.T) {
	all := preflight.PublisherRules(service, 1)
	for name, less := range map[string][]string{
		"before it announces": {"+hmget", "+xadd", "+zcount"},
		"when it announces":   {"+xadd"},
		"a key":               {"~{orders-input}:meta"},
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.New(t)
			publish := func(rules ...string) error {
				opt := user(t, server, rules...)
				opt.DisableCache = true
				client, err := rueidis.NewClient(opt)
				require.NoError(t, err)
				defer client.Close()
				log, _ := logger(0)
				p, err := engine.NewPublisher(client, service, engine.WithLogger(log))
				require.NoError(t, err)
				_, err = p.Publish(context.Background(), "a", nil)
				return err
			}
			err := publish(without(all, less...)...)
			require.ErrorIs(t, err, api.ErrMissingRights)
			for _, rule := range less {
				require.ErrorContains(t, err, rule)
			}
			require.NotContains(t, err.Error(), "xreadgroup")
			require.NoError(t, publish(all...))
		})
	}
}
