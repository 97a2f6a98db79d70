package rights

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

const (
	service    = "chat"
	partitions = 2
	patience   = time.Minute
)

// harness is a server with users.
type harness struct {
	console.Console // as a user who may do everything

	server *servers.Server
	layout *cluster.Layout
}

func newHarness(t *testing.T, opts ...servers.Option) *harness {
	h := &harness{server: servers.New(t, append(opts, servers.Args("--notify-keyspace-events", "Kx"))...)}
	h.Console = console.Console{T: t, Client: h.server.Client(t)}
	var err error
	h.layout, err = cluster.NewLayout(service, partitions)
	require.NoError(t, err)
	return h
}

// each runs a test on every kind of server that is available.
func each(t *testing.T, test func(t *testing.T, h *harness)) {
	for _, program := range servers.Available(t) {
		t.Run(program.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newHarness(t, servers.On(program)))
		})
	}
}

func (h *harness) until(what string, ok func() bool) {
	h.T.Helper()
	require.True(h.T, wait.For(patience, 10*time.Millisecond, ok), "did not come true: %s", what)
}

// user makes a user with these rules, or changes one: earlier rules are dropped.
func (h *harness) user(name string, rules ...string) rueidis.ClientOption {
	h.T.Helper()
	h.Do(append([]string{"ACL", "SETUSER", name, "reset", "on", ">secret", "resetchannels"}, rules...)...)
	opt := h.server.ClientOption()
	opt.Username, opt.Password = name, "secret"
	return opt
}

func (h *harness) connect(opt rueidis.ClientOption) rueidis.Client {
	h.T.Helper()
	client, err := rueidis.NewClient(opt)
	require.NoError(h.T, err)
	h.T.Cleanup(client.Close)
	return client
}

// use is a command and a kind of key.
type use struct {
	command string
	key     preflight.Key
}

// uses is everything a server saw, with an example of each.
type uses struct {
	mu  sync.Mutex
	all map[use]string
}

func (u *uses) add(at use, line string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all[at] = line
}

// watch records what the server runs, for any client, until stop is called.
func (h *harness) watch() (seen *uses, stop func()) {
	h.T.Helper()
	conn, err := net.Dial("tcp", h.server.Addr())
	require.NoError(h.T, err)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	require.NoError(h.T, err)
	lines := bufio.NewReader(conn)
	_, err = lines.ReadString('\n')
	require.NoError(h.T, err)
	seen = &uses{all: make(map[use]string)}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil || strings.Contains(line, lastWatched) {
				return
			}
			h.note(seen, line)
		}
	})
	return seen, func() {
		// What was used before may still be on its way here.
		last, err := net.Dial("tcp", h.server.Addr())
		require.NoError(h.T, err)
		defer last.Close()
		_, err = last.Write([]byte("ECHO " + lastWatched + "\r\n"))
		require.NoError(h.T, err)
		reading.Wait()
		conn.Close()
	}
}

// lastWatched is the word by which what watch reads comes to an end.
const lastWatched = "last-watched"

// note records one line: +<time> [<database> <client>] "<word>" "<word>" …
func (h *harness) note(seen *uses, line string) {
	_, rest, ok := strings.Cut(line, "] ")
	var words []string
	for ok {
		rest = strings.TrimSpace(rest)
		word, err := strconv.QuotedPrefix(rest)
		if err != nil {
			break
		}
		plain, _ := strconv.Unquote(word)
		words, rest = append(words, plain), rest[len(word):]
	}
	if len(words) == 0 {
		return
	}
	name := strings.ToLower(words[0])
	if slices.Contains([]string{"xgroup", "xinfo", "cluster", "config", "client", "acl", "script"}, name) && len(words) > 1 {
		words = words[1:]
		name += "|" + strings.ToLower(words[0])
	}
	keys := 0
	for _, word := range words[1:] {
		if kind, ok := preflight.KindOf(h.layout, word); ok && name != "evalsha" && name != "eval" {
			seen.add(use{name, kind}, line)
			keys++
		}
	}
	if keys == 0 {
		seen.add(use{name, preflight.NoKey}, fmt.Sprintf("%.200s", line))
	}
}
