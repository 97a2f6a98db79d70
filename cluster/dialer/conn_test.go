package dialer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

const (
	tight = time.Second
	ping  = "*1\r\n$4\r\nPING\r\n"
	get   = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"

	xreadgroup = "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$1\r\nc\r\n$5\r\nBLOCK\r\n$4\r\n4000\r\n$7\r\nSTREAMS\r\n$1\r\nk\r\n$1\r\n>\r\n"
)

// peer is a connection of a client, and the server's end of it.
type peer struct {
	t      *testing.T
	d      *Dialer
	client net.Conn
	server net.Conn
}

// connected makes a dialer and one connection for the address "old:1".
func connected(t *testing.T, c Config) *peer { return connectedWithin(t, tight, c) }

// connectedWithin does that with another limit.
func connectedWithin(t *testing.T, limit time.Duration, c Config) *peer {
	p := &peer{t: t}
	p.d = New(rueidis.ClientOption{ConnWriteTimeout: limit, WriteBufferEachConn: 60,
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			var ours net.Conn
			ours, p.server = net.Pipe()
			return ours, nil
		}})
	p.d.Configure(c)
	opt := p.d.ClientOption(10 * time.Second)
	if limit > 0 {
		limit = 10 * time.Second
	}
	require.Equal(t, limit, opt.ConnWriteTimeout)
	var err error
	p.client, err = opt.DialCtxFn(t.Context(), "old:1", &opt.Dialer, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.client.Close()
		p.server.Close()
	})
	return p
}

// send has the client write, and the server read.
func (p *peer) send(text string) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.client, text)
		done <- err
	}()
	got := make([]byte, len(text))
	_, err := io.ReadFull(p.server, got)
	require.NoError(p.t, err)
	require.NoError(p.t, <-done)
}

// answer has the server write, and the client read.
func (p *peer) answer(text string) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.server, text)
		done <- err
	}()
	got := make([]byte, len(text))
	_, err := io.ReadFull(p.client, got)
	require.NoError(p.t, err)
	require.NoError(p.t, <-done)
	require.Equal(p.t, text, string(got))
}

// left requires that the connection was left: what is written now was not sent.
func (p *peer) left() {
	p.t.Helper()
	_, err := io.WriteString(p.client, get)
	require.ErrorIs(p.t, err, ErrLeft)
	_, err = p.client.Read(make([]byte, 1))
	require.ErrorIs(p.t, err, ErrLeft)
	_, err = p.server.Read(make([]byte, 1))
	require.Error(p.t, err)
}

func TestAQuietConnectionIsLeftAtOnce(t *testing.T) {
	p := connected(t, Config{})
	p.d.Follow("old:1", "new:1", time.Now().Add(time.Minute), time.Minute)
	p.left()
}

// What is on its way is answered first, all of it.
func TestABusyConnectionIsLeftWhenItIsQuiet(t *testing.T) {
	p := connected(t, Config{})
	p.send(get + get)
	p.d.Follow("old:1", "new:1", time.Now().Add(time.Minute), time.Minute)
	p.send(get) // nothing was left yet, so this may go where the others went
	p.answer("$1\r\nv\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n:1\r\n")
	p.answer("$1\r\nv") // an answer that has not arrived is on its way
	p.answer("\r\n")
	p.left()
}

// A batch that does not fit into the client's buffer is written in parts. It is sent as a whole or not at all, even if the first
// part has been answered: what is refused is sent again, and must not have run.
func TestABatchIsNotTorn(t *testing.T) {
	p := connected(t, Config{})
	one := "*1\r\n$2\r\nab\r\n"
	p.send(strings.Repeat(one, 5)) // fills the buffer exactly
	p.answer(strings.Repeat("+OK\r\n", 5))
	p.d.Follow("old:1", "new:1", time.Now().Add(time.Minute), time.Minute)
	p.send(one)
	p.answer("+OK\r\n")
	p.left()
}

// What is not answered within the patience has no answer.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connected(t, Config{})
		p.send(get)
		began := time.Now()
		p.d.Follow("old:1", "new:1", began.Add(time.Minute), 5*time.Second)
		_, err := p.client.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrLeft, "it was sent")
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

// A deadline is the shorter one of the two at ordinary times, and the client's own while servers may be slow, even if that was not
// known yet when it was set.
func TestDeadlinesAreRelaxed(t *testing.T) {
	for _, c := range []struct{ from, want time.Duration }{{0, 4 * time.Second}, {tight / 2, 4 * time.Second}, {time.Hour, tight}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			p := connected(t, Config{Relaxed: func() time.Duration {
				if time.Since(began) >= c.from {
					return 4 * time.Second
				}
				return 0
			}})
			require.NoError(t, p.client.SetDeadline(began.Add(4*time.Second)))
			_, err := p.client.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, c.want, time.Since(began))

			require.NoError(t, p.client.SetDeadline(time.Now().Add(tight/4)))
			began = began.Add(-time.Minute)
			now := time.Now()
			_, err = p.client.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, tight/4, time.Since(now), "a call that has less time gets no more")
		})
	}
}

// A PING without an answer ends the connection, at once or when servers may not be slow any more, but no later than they may be.
func TestAPingIsWatched(t *testing.T) {
	for _, c := range []struct{ relaxed, until, want time.Duration }{
		{0, 0, tight}, {4 * time.Second, time.Hour, 4 * time.Second}, {4 * time.Second, 2500 * time.Millisecond, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			p := connected(t, Config{Relaxed: func() time.Duration {
				if time.Since(began) < c.until {
					return c.relaxed
				}
				return 0
			}})
			p.send(ping)
			p.answer("+PONG\r\n")
			p.send(get) // may take as long as its own deadline says
			time.Sleep(time.Minute)
			p.answer("$-1\r\n")
			began = time.Now()
			p.send(ping)
			_, err := p.client.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, c.want, time.Since(began))
		})
	}
}

// kept requires that the connection is still open after a long silence.
func (p *peer) kept(answer string) {
	p.t.Helper()
	time.Sleep(time.Minute)
	p.answer(answer)
	p.send(get)
	p.answer("$-1\r\n")
}

// ended requires that the connection is given up after a while, without an answer.
func (p *peer) ended(after time.Duration) {
	p.t.Helper()
	began := time.Now()
	_, err := p.client.Read(make([]byte, 1))
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded)
	require.Equal(p.t, after, time.Since(began))
}

// A PING is answered when its own answer has come, whatever was sent with it or after it.
func TestAnAnsweredPingIsWatchedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connected(t, Config{})
		p.send(ping + xreadgroup)
		p.answer("+PONG\r\n")
		p.kept("_\r\n")
		p.send(ping)
		p.send(xreadgroup)
		p.answer("+PONG\r\n")
		p.kept("_\r\n")
		p.send(get)
		for range 3 { // it is never quiet
			p.send(get + ping)
			p.send(get)
			time.Sleep(tight / 2)
			p.answer(">2\r\n+invalidate\r\n*1\r\n+k\r\n$-1\r\n$-1\r\n")
			time.Sleep(tight / 2)
			p.answer("+PONG\r\n")
			time.Sleep(time.Minute)
		}
		p.kept("$-1\r\n")

		p.send(get + ping + get)
		p.send(ping)
		p.answer("$-1\r\n+PONG\r\n$-1\r\n")
		p.ended(tight)
	})
}

// A PING behind a command that the server lets wait has to wait as well. One before it has not.
func TestAPingThatHasToWaitIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connected(t, Config{})
		p.send(xreadgroup + ping)
		p.kept("_\r\n+PONG\r\n")
		p.send(get + xreadgroup)
		p.answer("$-1\r\n")
		p.send(ping)
		p.kept("_\r\n+PONG\r\n")
		p.send(ping + xreadgroup + ping)
		p.answer("+PONG\r\n")
		p.kept("_\r\n+PONG\r\n")
		p.send(xreadgroup)
		p.answer("_\r\n")
		p.send(ping)
		p.ended(tight)

		p = connected(t, Config{})
		p.send(ping + xreadgroup + ping)
		p.ended(tight)
	})
}

// A client without a limit has none here.
func TestWithoutALimitNothingIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connectedWithin(t, -1, Config{})
		require.NoError(t, p.client.SetDeadline(time.Now().Add(time.Hour)))
		p.send(get)
		p.answer("$-1\r\n")
		p.send(ping)
		p.kept("+PONG\r\n")
		done := make(chan error, 1)
		go func() {
			_, err := io.WriteString(p.client, get)
			done <- err
		}()
		time.Sleep(time.Minute)
		_, err := io.ReadFull(p.server, make([]byte, len(get)))
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.NoError(t, p.client.SetDeadline(time.Now().Add(time.Minute)))
		p.ended(time.Minute)
	})
}

// Where answers are not counted any more, nobody knows whether a PING has one.
func TestWithoutACountNothingIsWatched(t *testing.T) {
	for _, f := range []func(p *peer){
		func(p *peer) {
			p.send(get + ping)
			p.answer("-" + strings.Repeat("x", longestHead))
			p.answer("\r\n")
		},
		func(p *peer) {
			p.send("PING\r\n")
			p.answer("+PONG\r\n")
			p.send(ping)
		},
		func(p *peer) {
			p.send(ping)
			p.send("PING\r\n")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := connected(t, Config{})
			f(p)
			p.kept("+PONG\r\n")
			p.send(ping)
			p.kept("+PONG\r\n")
		})
	}
}

// An answer to what was sent before says nothing of a write that has not returned.
func TestAWriteIsWatchedWhileAnswersCome(t *testing.T) {
	const set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n"
	for _, before := range []string{get, ping} {
		for _, reads := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := connected(t, Config{})
				p.send(before)
				began := time.Now()
				defer time.AfterFunc(time.Hour, func() { p.server.Close() }).Stop()
				done := make(chan error, 1)
				go func() {
					_, err := io.WriteString(p.client, set[:len(set)-3]) // and more later
					done <- err
				}()
				time.Sleep(tight / 2)
				p.answer("+X\r\n")
				if !reads {
					require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
					require.Equal(t, tight/2+2*tight, time.Since(began))
					return
				}
				time.Sleep(tight)
				_, err := io.ReadFull(p.server, make([]byte, len(set)-3))
				require.NoError(t, err)
				require.NoError(t, <-done)
				time.Sleep(time.Minute)
				p.send(set[len(set)-3:])
				p.kept("+OK\r\n")
			})
		}
	}
}

// A PING may be stuck behind a write that goes nowhere, where nobody sees it.
func TestAWriteThatGoesNowhereIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connected(t, Config{})
		began := time.Now()
		_, err := io.WriteString(p.client, get)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 2*tight, time.Since(began))
	})
}

// Only the connections for that address are left, and not those that lead to the endpoint already.
func TestOnlyTheAddressThatMovesIsLeft(t *testing.T) {
	var dialled atomic.Pointer[string]
	d := New(rueidis.ClientOption{ConnWriteTimeout: tight, DialCtxFn: func(_ context.Context, target string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
		dialled.Store(&target)
		ours, its := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, its) }()
		return ours, nil
	}})
	opt := d.ClientOption(0)
	open := func(address string) net.Conn {
		c, err := opt.DialCtxFn(t.Context(), address, &opt.Dialer, nil)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	alive := func(c net.Conn) bool {
		_, err := io.WriteString(c, get)
		require.True(t, err == nil || errors.Is(err, ErrLeft))
		return err == nil
	}
	moves, other := open("old:1"), open("other:1")
	d.Follow("old:1", "new:1", time.Now(), time.Minute)
	there := open("old:1")
	require.Equal(t, "new:1", *dialled.Load())
	d.Follow("old:1", "new:1", time.Now(), time.Minute)
	require.False(t, alive(moves))
	require.True(t, alive(other))
	require.True(t, alive(there))
	d.Renew("other:1", 0)
	require.Equal(t, []Route{{"old:1", []string{"new:1", "old:1"}}}, d.Routes())
	require.Equal(t, 1, d.Replaced())
}
