package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

func TestPassesEverythingThrough(t *testing.T) {
	_, p := start(t)
	c := connect(t, p)
	for i := range 200 {
		cmds := make(rueidis.Commands, 0, 50)
		for j := range 50 {
			cmds = append(cmds, c.B().Echo().Message(fmt.Sprint(i, " ", j)).Build())
		}
		for j, r := range c.DoMulti(t.Context(), cmds...) {
			text, err := r.ToString()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i, " ", j), text)
		}
	}
	require.Equal(t, 10000, p.Seen("echo"))
	big := strings.Repeat("x", 3<<20)
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("big").Value(big).Build()).Error())
	got, err := c.Do(t.Context(), c.B().Get().Key("big").Build()).ToString()
	require.NoError(t, err)
	require.Equal(t, big, got)
	nested, err := c.Do(t.Context(), c.B().Eval().Script("redis.setresp(3) return {1, {map = {a = {double = 1.5}}}, false, {ok = 'fine'}}").Numkeys(0).Build()).ToArray()
	require.NoError(t, err)
	require.Len(t, nested, 4)
}

func TestRESP2AndPassword(t *testing.T) {
	s := servers.New(t, servers.Password("secret"))
	p := New(t, s.Addr())
	c := connect(t, p, func(o *rueidis.ClientOption) { o.AlwaysRESP2, o.Password = true, "secret" })
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key("k").Value("v").Build()).Error())
	require.Equal(t, 1, p.Seen("SET"))
}

func TestPubSub(t *testing.T) {
	for name, resp2 := range map[string]bool{"RESP3": false, "RESP2": true} {
		t.Run(name, func(t *testing.T) {
			_, p := start(t)
			c := connect(t, p, func(o *rueidis.ClientOption) { o.AlwaysRESP2 = resp2 })
			messages := make(chan string, 1)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				ended <- c.Receive(ctx, c.B().Subscribe().Channel("a", "b").Build(), func(m rueidis.PubSubMessage) { messages <- m.Message })
			}()
			require.Eventually(t, func() bool {
				n, err := c.Do(t.Context(), c.B().Publish().Channel("b").Message("hello").Build()).AsInt64()
				return err == nil && n == 1
			}, patience, time.Millisecond)
			require.Equal(t, "hello", <-messages)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
			text, err := c.Do(t.Context(), c.B().Echo().Message("in step").Build()).ToString()
			require.NoError(t, err)
			require.Equal(t, "in step", text)
		})
	}
}

func TestDelay(t *testing.T) {
	_, p := start(t)
	w := dial(t, p.Addr())
	w.send("PING")
	w.expect("+PONG\r\n")
	const oneWay = 20 * time.Millisecond
	p.Delay(oneWay)
	before := time.Now()
	w.send("PING", "PING", "PING")
	w.expect("+PONG\r\n", "+PONG\r\n", "+PONG\r\n")
	require.GreaterOrEqual(t, time.Since(before), 2*oneWay)
	p.Delay(0)
	w.send("PING")
	w.expect("+PONG\r\n")
}

func TestStall(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("INCR k")
	w.expect(":1\r\n")
	p.Stall()
	p.Stall()
	w.send("INCR k")
	w.expectSilence()
	late := dial(t, p.Addr())
	late.send("INCR k")
	late.expectSilence()
	require.Equal(t, "1", number(t, s, "k"))
	p.Resume()
	p.Resume()
	for _, either := range []*wire{w, late} {
		raw, err := either.d.reply()
		require.NoError(t, err)
		require.Contains(t, []string{":2\r\n", ":3\r\n"}, string(raw))
	}
	require.Equal(t, "3", number(t, s, "k"))
}

// A client that hangs up during a stall does not take back its requests: a network that recovers delivers them late.
func TestRequestsArriveLateAfterTheClientHungUp(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("PING")
	w.expect("+PONG\r\n")
	p.Stall()
	w.send("INCR k", "INCR k")
	require.NoError(t, w.Close())
	require.Equal(t, "0", number(t, s, "k"))
	p.Resume()
	require.NoError(t, p.WaitSeen(t.Context(), "INCR", 2))
	require.Eventually(t, func() bool { return number(t, s, "k") == "2" }, patience, time.Millisecond)
}

// The server has to learn that a client is gone, or it would serve a read that nobody waits for.
func TestBlockedReadEndsWithItsClient(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("BLPOP list 0")
	blocked := func(want string) func() bool {
		return func() bool {
			info, err := s.Info(t.Context(), "clients")
			return err == nil && info["blocked_clients"] == want
		}
	}
	require.Eventually(t, blocked("1"), patience, time.Millisecond)
	require.NoError(t, w.Close())
	require.Eventually(t, blocked("0"), patience, time.Millisecond)
}

func TestCut(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("INCR k")
	w.expect(":1\r\n")
	p.Cut()
	w.expectReset()
	_, err := rueidis.NewClient(p.ClientOption())
	require.Error(t, err)
	p.Restore()
	c := connect(t, p)
	n, err := c.Do(t.Context(), c.B().Incr().Key("k").Build()).AsInt64()
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.Equal(t, "2", number(t, s, "k"))
}

func TestCutLosesWhatAStallHeld(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("PING")
	w.expect("+PONG\r\n")
	p.Stall()
	w.send("INCR k")
	p.Cut()
	w.expectReset()
	p.Resume()
	p.Restore()
	next := dial(t, p.Addr())
	next.send("PING")
	next.expect("+PONG\r\n")
	require.Equal(t, "0", number(t, s, "k"))
	require.Equal(t, 0, p.Seen("INCR"))
}

func TestServerThatIsGone(t *testing.T) {
	s, p := start(t)
	w := dial(t, p.Addr())
	w.send("PING")
	w.expect("+PONG\r\n")
	require.NoError(t, s.Kill())
	_, err := w.d.reply()
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = rueidis.NewClient(p.ClientOption())
	require.Error(t, err)
}

func TestProtocolErrorIsReported(t *testing.T) {
	s := servers.New(t)
	p, err := Start(t.Context(), s.Addr())
	require.NoError(t, err)
	w := dial(t, p.Addr())
	w.send("*1", "PING")
	w.expectReset()
	require.ErrorIs(t, p.Stop(), errProtocol)
	require.ErrorIs(t, p.Stop(), errProtocol)
}

func TestStopEndsWhatIsUnderWay(t *testing.T) {
	s := servers.New(t)
	p, err := Start(t.Context(), s.Addr())
	require.NoError(t, err)
	p.Inject(Fault{Command: "INCR", Action: Delay, Delay: time.Hour})
	p.Inject(Fault{Command: "DECR", Action: DropReply})
	p.Inject(Fault{Command: "APPEND", Action: DropRequest})
	for _, command := range []string{"INCR k", "DECR k", "APPEND k v", "BLPOP l 0"} {
		dial(t, p.Addr()).send(command)
	}
	for _, command := range []string{"INCR", "DECR", "APPEND"} {
		require.NoError(t, p.WaitStruck(t.Context(), command, 1))
	}
	require.NoError(t, p.WaitSeen(t.Context(), "BLPOP", 1))
	p.Stall()
	dial(t, p.Addr()).send("PING")
	require.NoError(t, p.Stop())
	require.NoError(t, p.Stop())
	_, err = net.Dial("tcp", p.Addr())
	require.Error(t, err)
}

// Requests of all connections pass one after another, each for as long as its bytes take.
func TestBandwidth(t *testing.T) {
	_, p := start(t)
	big, small := dial(t, p.Addr()), dial(t, p.Addr())
	big.send("PING")
	big.expect("+PONG\r\n")
	small.send("PING")
	small.expect("+PONG\r\n")
	const size = 20_000
	p.Bandwidth(100_000)
	before := time.Now()
	big.send("ECHO "+strings.Repeat("x", size), "PING")
	big.expect(fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size)), "+PONG\r\n")
	require.GreaterOrEqual(t, time.Since(before), 2*size*time.Second/100_000)
	p.Bandwidth(0)
	small.send("PING")
	small.expect("+PONG\r\n")
}
