package starting

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
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

// asked is a client that counts how often somebody asks every node.
type asked struct {
	rueidis.Client
	times atomic.Int32
}

func (a *asked) Nodes() map[string]rueidis.Client {
	a.times.Add(1)
	return a.Client.Nodes()
}

// A producer whose right was taken away goes on publishing. Each call that was refused asked for all rights, on a connection of its
// own before Redis 7.0: 100 concurrent calls, then one more, ask once.
func TestAPublisherThatIsRefusedAsksOnceForItsRights(t *testing.T) {
	for name, less := range map[string]string{"before it announces": "+hmget", "when it announces": "+xadd"} {
		t.Run(name, func(t *testing.T) {
			opt := user(t, servers.New(t), without(preflight.PublisherRules(service, 1), less)...)
			opt.DisableCache = true
			client, err := rueidis.NewClient(opt)
			require.NoError(t, err)
			defer client.Close()
			nodes := &asked{Client: client}
			log, _ := logger(0)
			p, err := engine.NewPublisher(nodes, service, engine.WithLogger(log))
			require.NoError(t, err)
			grant := "lacks " + less + " (ACL SETUSER"
			var group sync.WaitGroup
			var named atomic.Int32
			for range 100 {
				group.Go(func() {
					_, err := p.Publish(context.Background(), "a", nil)
					assert.ErrorIs(t, err, api.ErrMissingRights)
					assert.ErrorContains(t, err, "grant")
					if strings.Contains(err.Error(), grant) {
						named.Add(1)
					}
				})
			}
			group.Wait()
			require.Positive(t, named.Load())
			_, err = p.Publish(context.Background(), "a", nil)
			require.ErrorContains(t, err, grant)
			require.EqualValues(t, 1, nodes.times.Load())
		})
	}
}
