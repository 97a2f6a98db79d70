package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// patience is how long a test waits for what must come; nearly all of it goes unused.
const patience = 20 * time.Second

// silence is how long a test listens for what must not come.
const silence = 30 * time.Millisecond

func start(t *testing.T) (*servers.Server, *Proxy) {
	t.Helper()
	s := servers.New(t)
	return s, New(t, s.Addr())
}

func connect(t *testing.T, p *Proxy, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	opt := p.ClientOption()
	for _, f := range change {
		f(&opt)
	}
	c, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// wire is a bare connection, for tests that have to know what is in which pipeline.
type wire struct {
	net.Conn
	t *testing.T
	d *decoder
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &wire{Conn: conn, t: t, d: newDecoder(conn)}
}

func (w *wire) send(lines ...string) {
	w.t.Helper()
	_, err := w.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	require.NoError(w.t, err)
}

func (w *wire) expect(want ...string) {
	w.t.Helper()
	for _, text := range want {
		raw, err := w.d.reply()
		require.NoError(w.t, err)
		require.Equal(w.t, text, string(raw))
	}
}

func (w *wire) expectSilence() {
	w.t.Helper()
	require.NoError(w.t, w.SetReadDeadline(time.Now().Add(silence)))
	raw, err := w.d.reply()
	require.ErrorIs(w.t, err, os.ErrDeadlineExceeded, "got %q", raw)
	require.NoError(w.t, w.SetReadDeadline(time.Now().Add(patience)))
}

func (w *wire) expectReset() {
	w.t.Helper()
	raw, err := w.d.reply()
	require.True(w.t, errors.Is(err, syscall.ECONNRESET), "got %q, %v", raw, err)
}

// number is the integer at a key of the server, past the proxy.
func number(t *testing.T, s *servers.Server, key string) string {
	t.Helper()
	w := dial(t, s.Addr())
	defer w.Close()
	w.send("INCRBY " + key + " 0")
	raw, err := w.d.reply()
	require.NoError(t, err)
	return strings.TrimSpace(string(raw[1:]))
}

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

func TestDropReplyMeansThatItRan(t *testing.T) {
	s, p := start(t)
	p.Inject(Fault{Command: "incr", Nth: 2, Action: DropReply})
	w := dial(t, p.Addr())
	w.send("INCR k", "INCR k", "INCR k", "PING")
	w.expect(":1\r\n")
	w.expectSilence()
	require.Eventually(t, func() bool { return number(t, s, "k") == "3" }, patience, time.Millisecond, "what follows runs as well")
	require.Equal(t, 1, p.Struck("INCR"))
	require.Equal(t, 3, p.Seen("INCR"))
	other := dial(t, p.Addr())
	other.send("INCR k")
	other.expect(":4\r\n")
}

func TestDropRequestMeansThatItNeverRan(t *testing.T) {
	s, p := start(t)
	p.Inject(Fault{Command: "INCR", Nth: 2, Action: DropRequest})
	w := dial(t, p.Addr())
	w.send("INCR k", "INCR k", "INCR k")
	w.expect(":1\r\n")
	w.expectSilence()
	require.Equal(t, "1", number(t, s, "k"))
	require.Equal(t, 1, p.Seen("INCR"))
}

func TestSilentConnectionOutlivesTheServer(t *testing.T) {
	s, p := start(t)
	p.Inject(Fault{Command: "INCR", Action: DropReply})
	w := dial(t, p.Addr())
	w.send("INCR k")
	require.NoError(t, p.WaitSeen(t.Context(), "INCR", 1))
	require.NoError(t, s.Kill()) // before or after it ran: the client can't tell
	w.expectSilence()
}

func TestCutBeforeAndAfter(t *testing.T) {
	for action, ran := range map[Action]string{CutBefore: "1", CutAfter: "2"} {
		t.Run(action.String(), func(t *testing.T) {
			s, p := start(t)
			p.Inject(Fault{Command: "INCR", Nth: 2, Action: action})
			w := dial(t, p.Addr())
			w.send("INCR k")
			w.expect(":1\r\n")
			w.send("INCR k")
			w.expectReset()
			require.Equal(t, ran, number(t, s, "k"))
			next := dial(t, p.Addr())
			next.send("PING")
			next.expect("+PONG\r\n")
		})
	}
}

func TestCutAfterAnswersWhatCameBefore(t *testing.T) {
	_, p := start(t)
	p.Inject(Fault{Command: "PING", Action: CutAfter})
	w := dial(t, p.Addr())
	w.send("ECHO a", "ECHO b", "PING")
	w.expect("$1\r\na\r\n", "$1\r\nb\r\n")
	w.expectReset()
}

func TestReplyErrorTakesItsTurn(t *testing.T) {
	s, p := start(t)
	remove := p.Inject(Fault{Command: "INCR", Action: ReplyError, Error: "OOM command not allowed"})
	p.Inject(Fault{Command: "DECR", Action: ReplyError})
	w := dial(t, p.Addr())
	w.send("INCR k", "ECHO a", "INCR k", "INCR k", "ECHO b", "DECR k")
	w.expect("-OOM command not allowed\r\n", "$1\r\na\r\n", "-OOM command not allowed\r\n", "-OOM command not allowed\r\n", "$1\r\nb\r\n", "-ERR injected fault\r\n")
	require.Equal(t, 0, p.Seen("INCR"))
	require.Equal(t, 3, p.Struck("INCR"))
	remove()
	w.send("INCR k", "MONITOR")
	w.expect(":1\r\n", "-ERR the proxy does not support MONITOR\r\n")
	require.Equal(t, "1", number(t, s, "k"))
}

func TestDelayFaultHoldsUpItsConnectionOnly(t *testing.T) {
	s, p := start(t)
	p.Inject(Fault{Command: "INCR", Action: Delay, Delay: time.Hour})
	w := dial(t, p.Addr())
	w.send("INCR k", "PING")
	require.NoError(t, p.WaitStruck(t.Context(), "INCR", 1))
	other := dial(t, p.Addr())
	other.send("PING")
	other.expect("+PONG\r\n")
	w.expectSilence()
	require.Equal(t, "0", number(t, s, "k"))
	require.Equal(t, 0, p.Seen("INCR"))
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

func TestMatchAndOrderOfFaults(t *testing.T) {
	_, p := start(t)
	p.Inject(Fault{Command: "ECHO", Nth: 2, Action: ReplyError, Error: "ERR second"})
	p.Inject(Fault{Action: ReplyError, Error: "ERR b", Match: func(args [][]byte) bool { return string(args[len(args)-1]) == "b" }})
	w := dial(t, p.Addr())
	w.send("ECHO b", "ECHO b", "ECHO b", "ECHO c")
	w.expect("-ERR b\r\n", "-ERR second\r\n", "-ERR b\r\n", "$1\r\nc\r\n")
	require.Panics(t, func() { p.Inject(Fault{Command: "ECHO"}) })
	require.Panics(t, func() { p.Inject(Fault{Action: ReplyError, Error: "ERR two\r\nlines"}) })
}

func TestScriptsByName(t *testing.T) {
	const body = "return redis.call('INCR', KEYS[1])"
	_, p := start(t)
	p.RegisterScript("count", body)
	c := connect(t, p)
	script := rueidis.NewLuaScript(body)
	for range 3 { // EVALSHA, refused; then EVAL; then EVALSHA
		require.NoError(t, script.Exec(t.Context(), c, []string{"k"}, nil).Error())
	}
	require.Equal(t, 4, p.Seen("count"))
	require.Equal(t, 3, p.Seen("EVALSHA"))
	require.Equal(t, 1, p.Seen("EVAL"))
	require.Subset(t, p.Log(), []string{"count"})

	remove := p.Inject(Fault{Command: "count", Action: ReplyError, Error: "TRYAGAIN Multiple keys request during rehashing of slot"})
	require.ErrorContains(t, script.Exec(t.Context(), c, []string{"k"}, nil).Error(), "TRYAGAIN")
	remove()

	p.Inject(Fault{Command: "count", Nth: 1, Action: DropReply})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, script.Exec(ctx, c, []string{"k"}, nil).Error(), context.DeadlineExceeded)
	fresh := connect(t, p)
	n, err := fresh.Do(t.Context(), fresh.B().Get().Key("k").Build()).AsInt64()
	require.NoError(t, err)
	require.EqualValues(t, 4, n, "it ran")
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

// A client that gave up during a stall has not taken its request back: a network that heals delivers it late.
func TestRequestsOfTheDepartedArriveLate(t *testing.T) {
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

// The server must hear that a client is gone, or it would feed a read that nobody waits for.
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

	other := servers.New(t)
	p.SetBackend(other.Addr())
	moved := dial(t, p.Addr())
	moved.send("PING")
	moved.expect("+PONG\r\n")
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

func TestWaitEndsWithItsContext(t *testing.T) {
	_, p := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	require.ErrorIs(t, p.WaitSeen(ctx, "PING", 1), why)
	require.NoError(t, p.WaitSeen(ctx, "PING", 0))
}

func TestLogIsBounded(t *testing.T) {
	_, p := start(t)
	w := dial(t, p.Addr())
	const n = 2*logLength + 500
	go func() {
		b := bufio.NewWriter(w)
		for range n {
			_, _ = b.WriteString("PING\r\n")
		}
		_, _ = b.WriteString("script exists x\r\n")
		_ = b.Flush()
	}()
	for range n {
		w.expect("+PONG\r\n")
	}
	w.expect("*1\r\n:0\r\n")
	log := p.Log()
	require.GreaterOrEqual(t, len(log), logLength)
	require.LessOrEqual(t, len(log), 2*logLength)
	require.Equal(t, "SCRIPT EXISTS", log[len(log)-1])
	require.Equal(t, n, p.Seen("PING"))
}

// What is sent passes one after the other, of all connections together, each as long as it takes.
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
