package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

func TestDropReplyMeansThatItRan(t *testing.T) {
	s, p := start(t)
	p.Inject(Fault{Command: "incr", Nth: 2, Action: DropReply})
	w := dial(t, p.Addr())
	w.send("INCR k", "INCR k", "INCR k", "PING")
	w.expect(":1\r\n")
	w.expectSilence()
	require.Eventually(t, func() bool { return number(t, s, "k") == "3" }, patience, time.Millisecond, "later requests run as well")
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
