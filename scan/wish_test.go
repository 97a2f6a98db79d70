package scan_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
)

// ask records a wish.
func (f *fleet) ask(w scan.Wish) {
	f.t.Helper()
	require.NoError(f.t, f.inspector().Ask(f.ctx, w))
}

// wishes returns the wishes as text, and checks that each has about an hour left, and that engines read the same.
func (f *fleet) wishes() (all []string) {
	f.t.Helper()
	found, err := f.inspector().Wishes(f.ctx)
	require.NoError(f.t, err)
	store, err := f.store().Wishes(f.ctx)
	require.NoError(f.t, err)
	require.Len(f.t, store, len(found))
	for n, w := range found {
		require.Zero(f.t, w.For)
		require.InDelta(f.t, time.Hour.Seconds(), w.Left.Seconds(), 60)
		store[n].Left = w.Left
		require.Equal(f.t, w, store[n])
		all = append(all, fmt.Sprintf("%s %s %v %s", w.Kind, w.Consumer, w.Weight, w.Reason))
	}
	return all
}

// signalled returns how many signals there are, and checks that each is a wish.
func (f *fleet) signalled() int {
	f.t.Helper()
	page, err := f.leases.Signals(f.ctx, 0, "0-18446744073709551615", 100)
	require.NoError(f.t, err)
	for _, x := range page.Signals {
		require.Equal(f.t, lease.SignalWish, x.Kind)
		require.Empty(f.t, x.Items)
	}
	return len(page.Signals)
}

// as returns an inspector of a user with these rights, who may run scripts on the record of the service besides.
func (f *fleet) as(rules ...string) *scan.Inspector {
	f.t.Helper()
	f.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", ">secret"}, rules...)...)
	limited := dial(f.t, rueidis.ClientOption{InitAddress: []string{f.server.Addr()}, Username: "limited", Password: "secret", DisableCache: true})
	i, err := scan.NewInspector(limited, "shop", scan.InspectorConfig{Timeout: 20 * time.Second})
	require.NoError(f.t, err)
	return i
}

func TestWishes(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		i := f.inspector()
		require.Empty(t, f.wishes())
		f.ask(scan.Wish{Kind: scan.WishPause, Consumer: "pod-2", For: time.Hour, Reason: "jo: it is slow; 100 %"})
		f.ask(scan.Wish{Kind: scan.WishWeight, Consumer: "pod-2", Weight: .3335, For: 5 * time.Minute})
		f.ask(scan.Wish{Kind: scan.WishWeight, Consumer: "pod-2", Weight: 2, For: time.Hour})
		f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "10.0.0.7", For: time.Hour})
		f.ask(scan.Wish{Kind: scan.WishFreeze, For: time.Hour, Reason: "größer"})
		require.Equal(t, []string{"freeze  0 größer", "drain 10.0.0.7 0 ", "pause pod-2 0 jo: it is slow; 100 %", "weight pod-2 2 "}, f.wishes())
		require.Equal(t, 5, f.signalled())

		f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "pod-2", For: time.Hour})
		require.NoError(t, i.Withdraw(f.ctx, scan.WishPause, "pod-2"), "it was replaced")
		require.NoError(t, i.Withdraw(f.ctx, scan.WishFreeze, ""))
		require.NoError(t, i.Withdraw(f.ctx, scan.WishWeight, "pod-3"))
		require.Equal(t, []string{"drain 10.0.0.7 0 ", "drain pod-2 0 ", "weight pod-2 2 "}, f.wishes())
		require.Equal(t, 7, f.signalled(), "nobody need look where nothing has changed")
		f.ask(scan.Wish{Kind: scan.WishPause, Consumer: "pod-2", For: time.Hour})
		require.Equal(t, []string{"drain 10.0.0.7 0 ", "pause pod-2 0 ", "weight pod-2 2 "}, f.wishes())

		f.Do("DEL", f.layout.Meta())
		require.ErrorIs(t, f.inspector().Ask(f.ctx, scan.Wish{Kind: scan.WishFreeze, For: time.Hour}), scan.ErrUnknownService)
		require.ErrorIs(t, f.inspector().Withdraw(f.ctx, scan.WishFreeze, ""), scan.ErrUnknownService)
	})
}

// A wish ends by the server's clock, even where that was set back by months since. What a later version wishes is kept until it has ended,
// and what somebody wrote by hand for good; neither means anything here.
func TestWishesEndByThemselves(t *testing.T) {
	f := newFleet(t, 2)
	at := func(d time.Duration) string { return strconv.FormatInt(f.Now()+d.Milliseconds(), 10) }
	kept := []string{
		"streams:ends", "pause " + at(time.Hour) + " 0 ",
		"weight:light", "weight " + at(time.Hour) + " 10 x",
		"freeze:", "freeze " + at(time.Hour) + " 0 " + strings.Repeat("ö", 5000), // a later version lets them be long
		"later:pod", "later " + at(time.Hour) + " of a later version",
		"streams:later", "later " + at(time.Hour) + " 0 ",
		"weight:none", "weight " + at(time.Hour) + " 0 ", "weight:much", "weight " + at(time.Hour) + " 1000001 ",
		"streams:bad name", "pause " + at(time.Hour) + " 0 ", "pause:pod", "pause " + at(time.Hour) + " 0 ",
		"nonsense", "x", "streams:", "", "streams:no end", "pause", "streams:no time", "pause soon 0 ",
	}
	ended := []string{
		"streams:past", "drain " + at(0) + " 0 ", "weight:past", "weight 1 1000 x", "later:past", "later 1 ",
		"streams:ahead", "pause " + at(9*24*time.Hour) + " 0 ", "streams:never", "pause 99999999999999999999 0 ",
	}
	f.Do(append([]string{"HSET", f.layout.Wishes()}, append(kept, ended...)...)...)
	require.Equal(t, []string{"freeze  0 " + strings.Repeat("ö", 100), "pause ends 0 ", "weight light 0.01 x"}, f.wishes())
	require.Equal(t, (len(kept)+len(ended))/2, f.Num("HLEN", f.layout.Wishes()), "reading changes nothing")
	f.ask(scan.Wish{Kind: scan.WishPause, Consumer: "ends", For: time.Hour})
	require.Equal(t, len(kept)/2, f.Num("HLEN", f.layout.Wishes()))
	for n := 0; n < len(ended); n += 2 {
		require.Zero(t, f.Num("HEXISTS", f.layout.Wishes(), ended[n]), ended[n])
	}
	require.Zero(t, f.Num("EXISTS", f.layout.Keys(1).Signals), "processes look for them in partition 0")
}

func TestWishesThatMayNotBeAsked(t *testing.T) {
	f := newFleet(t, 1)
	good := scan.Wish{Kind: scan.WishWeight, Consumer: "pod", Weight: 1, For: time.Hour}
	for _, c := range []struct {
		change func(w *scan.Wish)
		want   string
	}{
		{func(w *scan.Wish) { w.Kind = "" }, `Kind is ""`},
		{func(w *scan.Wish) { w.Kind = "stop" }, `Kind is "stop"`},
		{func(w *scan.Wish) { w.Consumer = "" }, `consumer id: "" is empty`},
		{func(w *scan.Wish) { w.Consumer = "a b" }, `has " " at byte 1`},
		{func(w *scan.Wish) { w.Consumer = "pod.ABCDEFGHIJ23-4" }, `the name of one run; give the consumer ID, "pod"`},
		{func(w *scan.Wish) { w.Kind, w.Weight = scan.WishFreeze, 0 }, `Consumer is "pod", must be empty`},
		{func(w *scan.Wish) { w.Weight = 0 }, "Weight is 0, must be from 0.01 to 1000"},
		{func(w *scan.Wish) { w.Weight = .009 }, "Weight is 0.009"},
		{func(w *scan.Wish) { w.Weight = 1000.1 }, "Weight is 1000.1"},
		{func(w *scan.Wish) { w.Weight = -1 }, "Weight is -1"},
		{func(w *scan.Wish) { w.Weight = math.NaN() }, "Weight is NaN"},
		{func(w *scan.Wish) { w.Kind = scan.WishPause }, "must be 0 with kind pause"},
		{func(w *scan.Wish) { w.For = 0 }, "For is 0s, must be from 1s to 168h0m0s"},
		{func(w *scan.Wish) { w.For = time.Second - 1 }, "For is 999.999999ms"},
		{func(w *scan.Wish) { w.For = 7*24*time.Hour + 1 }, "For is 168h0m0.000000001s"},
		{func(w *scan.Wish) { w.Reason = strings.Repeat("x", 201) }, "Reason has 201 bytes"},
		{func(w *scan.Wish) { w.Reason = "two\nlines" }, "must be one line"},
		{func(w *scan.Wish) { w.Reason = "\xff" }, "must be one line of UTF-8"},
	} {
		w := good
		c.change(&w)
		err := f.inspector().Ask(f.ctx, w)
		require.ErrorIs(t, err, api.ErrInvalidConfig, c.want)
		require.ErrorContains(t, err, c.want)
	}
	require.ErrorIs(t, f.inspector().Withdraw(f.ctx, "stop", ""), api.ErrInvalidConfig)
	require.ErrorIs(t, f.inspector().Withdraw(f.ctx, scan.WishPause, ""), api.ErrInvalidConfig)
	require.Zero(t, f.Num("EXISTS", f.layout.Wishes()))
	for _, w := range []scan.Wish{
		{Kind: scan.WishWeight, Consumer: "p", Weight: .01, For: time.Second},
		{Kind: scan.WishWeight, Consumer: strings.Repeat("p", 200), Weight: 1000, For: 7 * 24 * time.Hour, Reason: strings.Repeat("x", 200)},
	} {
		f.ask(w)
	}
	all, err := f.inspector().Wishes(f.ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
}

// There is a limit, below which those that have ended make room. What somebody has put there by hand beyond it is not read, and blocks
// nobody; a wish can be taken back even then.
func TestWishesAreLimited(t *testing.T) {
	f := newFleet(t, 1)
	fill := func(from, to int, end int64) {
		f.Do("EVAL", `for i = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], 'streams:pod-' .. i, 'pause ' .. ARGV[3] .. ' 0 ') end`,
			"1", f.layout.Wishes(), strconv.Itoa(from), strconv.Itoa(to), strconv.FormatInt(end, 10))
	}
	fill(1, scan.MaxWishes, f.Now()+time.Hour.Milliseconds())
	more := scan.Wish{Kind: scan.WishPause, Consumer: "more", For: time.Hour}
	err := f.inspector().Ask(f.ctx, more)
	require.ErrorIs(t, err, scan.ErrTooManyWishes)
	require.ErrorContains(t, err, f.layout.Wishes()+" has 10000 fields")
	require.Len(t, f.wishes(), scan.MaxWishes)
	f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "pod-7", For: time.Hour})
	require.Len(t, f.wishes(), scan.MaxWishes, "in the place of another")
	fill(1, 2500, f.Now()-1)
	f.ask(more)
	require.Len(t, f.wishes(), scan.MaxWishes-2500+1)

	fill(20_000, 30_000, f.Now()+time.Hour.Milliseconds())
	require.ErrorIs(t, f.inspector().Ask(f.ctx, more), scan.ErrTooManyWishes)
	_, err = f.inspector().Wishes(f.ctx)
	require.ErrorContains(t, err, "fields, more than 10000")
	_, err = f.store().Wishes(f.ctx)
	require.ErrorContains(t, err, "fields, more than 10000")
	require.NoError(t, f.inspector().Withdraw(f.ctx, scan.WishPause, "more"))
	require.Zero(t, f.Num("HEXISTS", f.layout.Wishes(), "streams:more"))
}

// Where a wish cannot be signalled it is kept all the same.
func TestWishesThatCannotBeSignalledAreKept(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		wish := scan.Wish{Kind: scan.WishPause, Consumer: "pod", For: time.Hour}
		for name, i := range map[string]*scan.Inspector{
			"no key":     f.as("+@all", "~"+f.layout.Meta(), "~"+f.layout.Wishes()),
			"no command": f.as("+@all", "~*", "-xadd"),
		} {
			require.NoError(t, i.Ask(f.ctx, wish), name)
			require.Equal(t, []string{"pause pod 0 "}, f.wishes())
			require.NoError(t, i.Withdraw(f.ctx, scan.WishPause, "pod"), name)
			require.Empty(t, f.wishes())
			require.Zero(t, f.Num("EXISTS", f.layout.Keys(0).Signals))
		}
		f.Do("SET", f.layout.Keys(0).Signals, "x")
		f.ask(wish)
		require.Equal(t, []string{"pause pod 0 "}, f.wishes())
		require.NoError(t, f.inspector().Withdraw(f.ctx, scan.WishPause, "pod"))
		require.Empty(t, f.wishes())

		f.Do("SET", f.layout.Wishes(), "x")
		require.ErrorContains(t, f.inspector().Ask(f.ctx, wish), "WRONGTYPE")
		require.ErrorContains(t, f.inspector().Withdraw(f.ctx, scan.WishPause, "pod"), "WRONGTYPE")
		_, err := f.inspector().Wishes(f.ctx)
		require.ErrorContains(t, err, "WRONGTYPE")
	})
}

// Errors name the right that is missing. Where nobody wishes anything, readers miss none.
func TestWishesWithoutARight(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		wish := scan.Wish{Kind: scan.WishPause, Consumer: "pod", For: time.Hour}
		look := []string{"~*", "+evalsha", "+eval", "+hmget", "+pttl", "+time"}
		found, err := f.as(look...).Wishes(f.ctx)
		require.NoError(t, err)
		require.Empty(t, found)
		f.ask(wish)
		look = append(look, "+hlen", "+hgetall")
		found, err = f.as(look...).Wishes(f.ctx)
		require.NoError(t, err)
		require.Len(t, found, 1)
		ask := append(look, "+hset", "+hdel", "+hget", "+xadd")
		require.NoError(t, f.as(ask...).Ask(f.ctx, wish))
		require.NoError(t, f.as(ask...).Withdraw(f.ctx, scan.WishPause, "pod"))
		f.ask(wish)
		for _, command := range []string{"hlen", "hgetall", "hset", "hdel"} {
			err := f.as(append(ask, "-"+command)...).Ask(f.ctx, wish)
			require.ErrorContains(t, err, "trying "+strings.ToUpper(command))
			require.ErrorContains(t, err, "grant the user")
		}
		for _, command := range []string{"hget", "hdel"} {
			require.ErrorContains(t, f.as(append(ask, "-"+command)...).Withdraw(f.ctx, scan.WishPause, "pod"), "trying "+strings.ToUpper(command))
		}
		for _, command := range []string{"hlen", "hgetall"} {
			_, err := f.as(append(ask, "-"+command)...).Wishes(f.ctx)
			require.ErrorContains(t, err, "trying "+strings.ToUpper(command))
		}
		require.Equal(t, []string{"pause pod 0 "}, f.wishes())
	})
}

// Trace: the operator's process dies, or gets no answer. The wish is there, whole, or not; asking again leaves the same.
func TestAskThatIsNotAnsweredIsRepeated(t *testing.T) {
	for _, script := range []string{"ask", "withdraw"} {
		for _, action := range []proxy.Action{proxy.DropRequest, proxy.DropReply, proxy.CutBefore, proxy.CutAfter} {
			t.Run(fmt.Sprintf("%v %s", action, script), func(t *testing.T) {
				f := newFleet(t, 1)
				p := proxy.New(t, f.server.Addr())
				for _, s := range scan.Scripts() {
					p.RegisterScript(s.Name(), s.Body())
				}
				i, err := scan.NewInspector(dial(t, p.ClientOption()), "shop", scan.InspectorConfig{Timeout: 2 * time.Second})
				require.NoError(t, err)
				wish := scan.Wish{Kind: scan.WishPause, Consumer: "pod", For: time.Hour}
				call := func() error { return i.Ask(f.ctx, wish) }
				want := []string{"pause pod 0 "}
				f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "pod", For: time.Hour})
				if script == "withdraw" {
					f.ask(wish)
					call = func() error { return i.Withdraw(f.ctx, wish.Kind, wish.Consumer) }
					want = nil
				}
				p.Inject(proxy.Fault{Command: script, Nth: 1, Action: action})
				_ = call()
				require.Equal(t, 1, p.Struck(script))
				require.NoError(t, call())
				require.Equal(t, want, f.wishes())
			})
		}
	}
}

// A full server takes wishes, which may be what empties it; a demoted one neither takes any nor answers.
func TestWishesOnAServerThatRefusesWrites(t *testing.T) {
	f := newFleet(t, 1)
	wish := scan.Wish{Kind: scan.WishPause, Consumer: "pod", For: time.Hour}
	i := f.inspector()
	f.ask(wish)
	require.Len(t, f.wishes(), 1)
	require.NoError(t, i.Withdraw(f.ctx, scan.WishPause, "pod")) // the scripts are known
	f.Do("CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, i.Ask(f.ctx, wish))
	f.Do("CONFIG", "SET", "maxmemory", "0")
	require.Len(t, f.wishes(), 1)
	f.Do("REPLICAOF", "127.0.0.1", "1")
	require.ErrorContains(t, i.Ask(f.ctx, wish), "READONLY")
	require.ErrorContains(t, i.Withdraw(f.ctx, scan.WishPause, "pod"), "READONLY")
	_, err := f.store().Wishes(f.ctx)
	require.ErrorContains(t, err, "READONLY")
}

// Of two operators at once the later one is obeyed: a consumer never has both wishes.
func TestPauseAndDrainAtOnce(t *testing.T) {
	f := newFleet(t, 1)
	var group sync.WaitGroup
	for _, kind := range []scan.WishKind{scan.WishPause, scan.WishDrain} {
		i := f.inspector()
		group.Go(func() {
			for range 50 {
				require.NoError(t, i.Ask(f.ctx, scan.Wish{Kind: kind, Consumer: "pod", For: time.Hour}))
			}
		})
	}
	group.Wait()
	require.Len(t, f.wishes(), 1)
}
