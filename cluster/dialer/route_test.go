package dialer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// world is servers at addresses, and what was dialled.
type world struct {
	t        *testing.T
	d        *Dialer
	opt      rueidis.ClientOption
	answers  map[string]string // what the server at an address sends first; none: refused; "": it accepts, and says nothing
	dialled  []string
	returned []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, answers: make(map[string]string)}
	w.d = New(rueidis.ClientOption{ConnWriteTimeout: tight, DialCtxFn: func(_ context.Context, target string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
		w.dialled = append(w.dialled, target)
		first, there := w.answers[target]
		if !there {
			return nil, errors.New("refused")
		}
		ours, its := net.Pipe()
		go func() {
			_, _ = io.WriteString(its, first)
			_, _ = io.Copy(io.Discard, its)
		}()
		return ours, nil
	}})
	w.d.Configure(Config{Returned: func(address, reason string) { w.returned = append(w.returned, address+": "+reason) }})
	w.opt = w.d.ClientOption(0)
	return w
}

// call connects to "old:1", waits for an answer, and returns what was dialled for that.
func (w *world) call() (dialled []string) {
	w.t.Helper()
	w.dialled = nil
	c, err := w.opt.DialCtxFn(w.t.Context(), "old:1", &w.opt.Dialer, nil)
	if err != nil {
		return w.dialled
	}
	require.NoError(w.t, c.SetDeadline(time.Now().Add(time.Second)))
	_, _ = c.Read(make([]byte, 64))
	c.Close()
	synctest.Wait()
	return w.dialled
}

func inWorld(t *testing.T, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

// The endpoint takes the place of the address for as long as it answers, whatever the address does.
func TestTheEndpointIsDialledInPlaceOfTheAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answers = map[string]string{"old:1": "+OK\r\n", "new:1": "+OK\r\n"}
		w.d.Follow("old:1", "new:1", time.Now().Add(10*time.Second), 0)
		require.Equal(t, []string{"new:1"}, w.call())
		time.Sleep(time.Minute)
		require.Equal(t, []string{"new:1"}, w.call())

		delete(w.answers, "old:1")
		time.Sleep(returnAfter)
		require.Equal(t, []string{"old:1", "new:1"}, w.call(), "long after, the address itself is tried first again, once")
		require.Equal(t, []string{"new:1"}, w.call())

		w.d.Follow("old:1", "newer:1", time.Now(), 0)
		w.answers["newer:1"] = "+OK\r\n"
		require.Equal(t, []string{"newer:1"}, w.call())
		w.d.Follow("old:1", "old:1", time.Now(), 0)
		require.Equal(t, []string{"old:1"}, w.call())
		require.Empty(t, w.d.Routes())
		require.Empty(t, w.returned)
	})
}

// An endpoint that stops answering, be it that it refuses or that it says nothing, is second from then on; the address takes its
// place, for good if it is past the time at which it was to go away.
func TestTheAddressTakesItsPlaceBack(t *testing.T) {
	for _, silent := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.answers = map[string]string{"old:1": "+OK\r\n"}
			want := []string{"new:1", "old:1"}
			if silent {
				w.answers["new:1"] = ""
				want = want[:1]
			}
			w.d.Follow("old:1", "new:1", time.Now().Add(10*time.Second), 0)
			require.Equal(t, want, w.call())
			require.Equal(t, []string{"old:1"}, w.call())
			require.Equal(t, []Route{{"old:1", []string{"old:1", "new:1"}}}, w.d.Routes(), "it may yet go away")
			require.Zero(t, w.d.Replaced())
			time.Sleep(11 * time.Second)
			require.Equal(t, []string{"old:1"}, w.call())
			require.Empty(t, w.d.Routes())
			require.Equal(t, []string{"old:1: the address answers again"}, w.returned)
		})
	}
}

// An endpoint that has not answered is tried once the address is gone.
func TestAnExpectedEndpointIsSecond(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answers = map[string]string{"old:1": "+OK\r\n"}
		w.d.Expect("old:1", "new:1", time.Now().Add(10*time.Second))
		require.Equal(t, []string{"old:1"}, w.call())
		delete(w.answers, "old:1")
		require.Equal(t, []string{"old:1", "new:1"}, w.call())
		w.answers["new:1"] = "+OK\r\n"
		require.Equal(t, []string{"old:1", "new:1"}, w.call())
		require.Equal(t, []string{"new:1"}, w.call())

		w.d.Expect("old:1", "newer:1", time.Now().Add(10*time.Second))
		require.Equal(t, []string{"new:1"}, w.call())
		w.answers = map[string]string{"newer:1": "+OK\r\n"}
		require.Equal(t, []string{"new:1", "old:1", "newer:1"}, w.call())
		require.Equal(t, []string{"newer:1"}, w.call())
	})
}

// A server at the endpoint that names the address as the one that serves what it was asked for is another one.
func TestAnEndpointThatRefersToTheAddressIsNotInItsPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answers = map[string]string{"old:1": "+OK\r\n", "new:1": "-MOVED 7 other:1\r\n"}
		w.d.Follow("old:1", "new:1", time.Now().Add(10*time.Second), 0)
		require.Equal(t, []string{"new:1"}, w.call())
		require.Equal(t, []string{"new:1"}, w.call(), "another node serves that slot, which happens")
		w.answers["new:1"] = "-MOVED 7 old:1\r\n"
		require.Equal(t, []string{"new:1"}, w.call())
		require.Equal(t, []string{"old:1"}, w.call())
		require.Equal(t, []string{"old:1: the endpoint refers to the address"}, w.returned)
	})
}

func TestRoutesEndWithTheTopology(t *testing.T) {
	w := newWorld(t)
	w.d.Follow("a:1", "b:1", time.Now(), 0)
	w.d.Follow("c:1", "d:1", time.Now(), 0)
	w.d.Keep(func(address string) bool { return address == "c:1" })
	require.Equal(t, []Route{{"c:1", []string{"d:1", "c:1"}}}, w.d.Routes())
}

// What nobody waits for any more says nothing about who answers.
func TestACancelledDialChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.d.Follow("old:1", "new:1", time.Now(), 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.opt.DialCtxFn(ctx, "old:1", &w.opt.Dialer, nil)
	require.Error(t, err)
	require.Equal(t, []string{"new:1"}, w.dialled)
	require.Equal(t, []string{"new:1", "old:1"}, w.d.Routes()[0].Targets)
}

// A caller without time for a target's share learns nothing about it, unless it refuses at once.
func TestADialWithoutItsShareOfTimeChangesNothing(t *testing.T) {
	for _, c := range []struct {
		has     time.Duration
		refused bool
		first   string
	}{
		{0, false, "new:1"}, {time.Millisecond, false, "new:1"}, {4 * time.Second, false, "new:1"},
		{9 * time.Second, false, "old:1"}, {time.Minute, false, "old:1"}, {time.Millisecond, true, "old:1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			opt := rueidis.ClientOption{ConnWriteTimeout: tight, Dialer: net.Dialer{Timeout: 10 * time.Second}}
			opt.DialCtxFn = func(ctx context.Context, target string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
				if target == "new:1" {
					if c.refused {
						return nil, errors.New("refused")
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}
				ours, its := net.Pipe()
				its.Close()
				return ours, nil
			}
			d := New(opt)
			d.Follow("old:1", "new:1", time.Now(), 0)
			opt = d.ClientOption(0)
			ctx, cancel := context.WithTimeout(t.Context(), c.has)
			defer cancel()
			conn, err := opt.DialCtxFn(ctx, "old:1", &opt.Dialer, nil)
			require.NoError(t, err)
			defer conn.Close()
			require.Equal(t, c.first, d.Routes()[0].Targets[0], "%v", c)
		})
	}
}
