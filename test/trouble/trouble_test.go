package trouble

import (
	"bufio"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	// silence is how long a test waits for a reply that must not arrive.
	silence = 30 * time.Millisecond
	// patience is how long it waits for one that must.
	patience = 20 * time.Second
)

// victim records what is done to its process.
type victim struct {
	link *proxy.Proxy
	done []string
}

func (v *victim) note(what string) error {
	v.done = append(v.done, what)
	return nil
}

func (v *victim) Kill() error        { return v.note("kill") }
func (v *victim) Stop() error        { return v.note("stop") }
func (v *victim) Start() error       { return v.note("start") }
func (v *victim) Pause() error       { return v.note("pause") }
func (v *victim) Resume() error      { return v.note("resume") }
func (v *victim) Link() *proxy.Proxy { return v.link }

// asks opens a connection through the link. ask reports whether a reply arrives in time.
func (v *victim) asks(t *testing.T) (ask func(line string, within time.Duration) bool) {
	t.Helper()
	conn, err := net.Dial("tcp", v.link.Addr())
	if err != nil {
		return func(string, time.Duration) bool { return false } // a link that is cut may refuse it at once
	}
	t.Cleanup(func() { _ = conn.Close() })
	answers := bufio.NewReader(conn)
	return func(line string, within time.Duration) bool {
		if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
			return false
		}
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(within)))
		_, err := answers.ReadString('\n')
		return err == nil
	}
}

func TestEachTroubleStrikesAndHeals(t *testing.T) {
	link := proxy.New(t, servers.New(t).Addr())
	onProcess := map[string][]string{"killed": {"kill", "start"}, "stopped": {"stop", "start"}, "paused": {"pause", "resume"}}
	seen := 0
	for _, x := range Of(&victim{link: link}) {
		v := &victim{link: link}
		rnd := rand.New(rand.NewPCG(1, 2))
		ask := v.asks(t)
		require.True(t, ask("PING", patience))
		heal, err := x.Strike(v, rnd)
		require.NoError(t, err, x.Name)
		switch x.Name {
		case "cut":
			require.False(t, ask("PING", silence))
			require.False(t, v.asks(t)("PING", silence), "nor on a new connection")
		case "flickered":
			require.False(t, ask("PING", silence))
			require.True(t, v.asks(t)("PING", patience))
		case "stalled":
			require.False(t, ask("PING", silence))
		case "delayed":
			require.True(t, v.asks(t)("PING", patience))
		case "unanswered":
			n := 0
			for ask("EVALSHA 0 0", silence) {
				n++
			}
			require.Less(t, n, lostWithin)
			require.True(t, v.asks(t)("PING", patience))
		default:
			require.False(t, x.OnLink, x.Name)
		}
		require.NoError(t, heal(), x.Name)
		require.True(t, v.asks(t)("PING", patience))
		require.Equal(t, onProcess[x.Name], v.done, x.Name)
		require.Equal(t, x.OnLink, v.done == nil, x.Name)
		seen++
	}
	require.Equal(t, 8, seen)
}

func TestNoTroubleStrikesAMissingLink(t *testing.T) {
	v := new(victim)
	for _, x := range Of(v) {
		require.False(t, x.OnLink, x.Name)
	}
	require.Len(t, Of(v), 3)
	for _, x := range Of(&victim{link: proxy.New(t, "127.0.0.1:1")}) {
		if x.OnLink {
			_, err := x.Strike(v, rand.New(rand.NewPCG(1, 2)))
			require.ErrorContains(t, err, "no link")
		}
	}
}
