package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/proxy"
)

func TestStreamsAreAnnounced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	a := s.do(statusDone, "publish", "a", "b", "-dry-run")
	require.Contains(t, a.out, "2 streams would be announced. Nothing was.")
	require.Equal(t, before, s.dump())
	a = s.do(statusDone, "publish", "a", "-info", `{"lang": "en"}`)
	require.Regexp(t, `^a is announced as \d+-\d+\.\n`, a.out)
	var text string
	for _, key := range []string{"shop-input", "shop-input-1"} {
		for _, e := range s.Stream(key) {
			text += e.FieldValues["lbs-input"]
		}
	}
	require.Contains(t, text, `"lang"`)
	object := s.json(statusDone, "publish", "--", "-b", hostile, "help")
	require.EqualValues(t, 3, object["published"])
	require.Equal(t, []string{"-b", hostile, "help"}, names(object, "entries"))
	s.do(statusDone, "publish", "soon", "-not-before", "10m")
	s.do(statusDone, "publish", "later", "-not-before", time.Now().AddDate(5, 0, 0).Format(time.RFC3339), "-dry-run")
	require.Equal(t, []string{"-b", "a", hostile, "first", "help", "soon"}, s.waiting())

	// A service that is not there is not made by mistake, but on purpose.
	require.Contains(t, s.do(statusNothing, "publish", "x", "-service", "shoop").errs, "-partitions 1")
	s.do(statusDone, "publish", "x", "-service", "other", "-partitions", "3")
	s.usage("has 3 on record, not 2", "publish", "x", "-service", "other", "-partitions", "2")
}

func TestOnlyWhatNobodyOwnsIsAnnounced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.start("pod-1", nil)
	s.await(func() bool {
		o, err := s.inspector.Owner(t.Context(), "first")
		require.NoError(t, err)
		return o.Consumer != ""
	})
	object := s.json(statusDone, "publish", "first", "-if-unowned")
	require.Equal(t, []any{0., 1.}, []any{object["published"], object["owned"]})
}

func TestManyStreamsAreAnnounced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	type lines = strings.Builder
	var b lines
	for n := range 5000 {
		fmt.Fprintf(&b, "stream-%d\n", n)
	}
	a := s.run(t.Context(), strings.NewReader(b.String()+"\r\n\n"+hostile+"\nshop-input\nnot\xffUTF-8\nlast"), "publish", "-", "-info", "7")
	require.Equal(t, statusFailed, a.status)
	require.Contains(t, a.out, "5,002 streams were announced.")
	require.Contains(t, a.out, "2 names were refused.")
	require.Contains(t, a.errs, "line 5004: ")
	require.Contains(t, a.errs, "line 5005: ")
	require.Len(t, s.waiting(), 1+5002)

	before := s.dump()
	a = s.run(t.Context(), strings.NewReader("a\nb\n"), "publish", "-", "-dry-run")
	require.Equal(t, statusDone, a.status, a.errs)
	require.Contains(t, a.out, "2 streams would be announced. Nothing was.")
	a = s.run(t.Context(), strings.NewReader("a\n"+strings.Repeat("x", longestLine+1)), "publish", "-", "-dry-run")
	require.Equal(t, statusFailed, a.status)
	require.Contains(t, a.errs, "stdin ended at line 2")
	require.Contains(t, s.do(statusNothing, "publish", "-").errs, "no name on stdin")
	require.Equal(t, before, s.dump())
}

// Where the connection is lost, it says which lines are open, and what it means to announce those again.
func TestManyStreamsOnAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := proxy.New(t, s.server.Addr())
	s.url = "redis://" + p.Addr()
	defer p.Inject(proxy.Fault{Command: "XADD", Nth: 600, Action: proxy.CutAfter})()
	var b strings.Builder
	for n := range 6000 {
		fmt.Fprintf(&b, "stream-%d\n", n)
	}
	a := s.run(t.Context(), strings.NewReader(b.String()), "publish", "-", "-json")
	require.Equal(t, statusFailed, a.status)
	require.Contains(t, a.errs, "later lines were not announced: go on from line ")
	require.Contains(t, a.errs, "may have been announced all the same")
	require.Contains(t, a.out, `"published": `)
	require.Less(t, len(s.waiting()), 6001)
}

func TestAnnouncementsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	s.usage("0 arguments", "publish")
	s.usage("is no JSON; a text needs quotes", "publish", "a", "-info", "en")
	s.usage("is no JSON", "publish", "a", "-info", "")
	s.usage("is not ahead", "publish", "a", "-not-before", "-10m")
	s.usage("neither a time", "publish", "a", "-not-before", "tomorrow")
	s.usage("is not ahead", "publish", "a", "-not-before", "2001-01-02T15:04:05Z")
	s.usage("do not go together", "publish", "a", "-not-before", "1h", "-if-unowned")
	s.usage("leave the others out", "publish", "a", "-")
	s.usage("nothing was announced", "publish", "a", "")
	s.usage("nothing was announced", "publish", "a", "shop-input")
	s.usage("nothing was announced", "publish", "a", "not\xffUTF-8")
	s.usage("more than 10 years ahead", "publish", "a", "-not-before", "2999-01-02T15:04:05Z")
	s.usage("0 arguments", "signal")
	s.usage("3 arguments", "signal", "a", "b", "c")
	s.usage("invalid stream", "signal", "")
	s.usage("keep what is longer elsewhere", "signal", "a", strings.Repeat("x", api.MaxSignal+1))
	require.Equal(t, before, s.dump())
}

func TestSignals(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var got atomic.Pointer[api.Notification]
	s.start("pod-1", func(n api.Notification) { got.Store(&n) })
	s.await(func() bool {
		o, err := s.inspector.Owner(t.Context(), "first")
		require.NoError(t, err)
		return o.Consumer != ""
	})
	require.Contains(t, s.do(statusDone, "signal", "first", "x", "-dry-run").out, "Nothing was sent.")
	a := s.do(statusDone, "signal", "first", "reload \u202e")
	require.Regexp(t, `^Sent to pod-1\.[A-Z2-7]+(-\d+)?, which owns first, for `, a.out)
	s.await(func() bool { return got.Load() != nil })
	require.Equal(t, "reload \u202e", string(got.Load().Payload))

	got.Store(nil)
	a = s.run(t.Context(), strings.NewReader("from stdin"), "-json", "signal", "first", "-")
	require.Equal(t, statusDone, a.status, a.errs)
	require.Contains(t, a.out, `"bytes": 10`)
	s.await(func() bool { return got.Load() != nil })
	require.Equal(t, "from stdin", string(got.Load().Payload))

	require.Contains(t, s.do(statusNothing, "signal", hostile).errs, "nothing was sent")
	require.Equal(t, false, s.json(statusNothing, "signal", "nobody's", "x")["sent"])
}
