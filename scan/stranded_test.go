package scan_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

func (f *fleet) stranded(i *scan.Inspector, s scan.Selection) (found []string) {
	f.t.Helper()
	for x, err := range i.Stranded(f.ctx, s) {
		require.NoError(f.t, err)
		found = append(found, x.Stream)
	}
	return found
}

// Announcements that somebody acknowledged by hand are neither pending nor undelivered: the backlog counts them, they are
// listed, and requeued once.
func TestStrandedAnnouncementsComeBack(t *testing.T) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			t.Parallel()
			f := fleetOn(t, servers.New(t, servers.On(program)), 1)
			i := f.inspector()
			f.open(0, "a.1")
			k := f.layout.Keys(0)
			require.Empty(t, f.stranded(i, scan.Selection{}))
			owned := f.own("a.1", "owned")
			var lost []string
			for n := range 8 {
				f.announce(0, "s-"+strconv.Itoa(n), lease.FieldRetries, "1", lease.FieldCrashes, "2", "other", "field")
				lost = append(lost, "s-"+strconv.Itoa(n))
			}
			later := f.Now() + time.Hour.Milliseconds()
			f.announce(0, "not before", lease.FieldNotBefore, strconv.FormatInt(later, 10))
			f.announce(0, "pending")
			f.read(0, "a.1", 9)
			f.read(0, "a.1", 1)
			f.Do("XGROUP", "DELCONSUMER", k.Input, f.layout.Group(), "a.1")
			f.announce(0, "read since")
			f.read(0, "b.1", 1)
			f.announce(0, "undelivered")
			b := f.backlog(i)
			require.Equal(t, []int{13, 1, 1, 11, 0}, []int{b.Length, b.Lag, b.Pending, b.Stranded, b.WithoutBody})

			// The owner of the first restores that itself.
			require.Equal(t, append(append([]string{}, lost...), "not before", "pending"), f.stranded(i, scan.Selection{}))
			require.Equal(t, []string{"s-4"}, f.stranded(i, scan.Selection{Stream: "s-4"}))
			require.Empty(t, f.stranded(i, scan.Selection{Partitions: []int{7}}))
			moved, err := i.Reannounce(f.ctx, scan.Selection{Stream: "s-4"})
			require.NoError(t, err)
			require.Equal(t, 1, moved)
			moved, err = i.Reannounce(f.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Equal(t, 9, moved)
			moved, err = i.Reannounce(f.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Zero(t, moved, "asked again")
			b = f.backlog(i)
			require.Equal(t, []int{10, 1, 1, 1}, []int{b.Lag, b.Pending, b.Stranded, b.Later})
			due := strconv.FormatInt(later, 10)
			require.Equal(t, 1, f.Num("ZCOUNT", k.Later, due, due))

			read := f.read(0, "b.1", 20)
			require.Len(t, read, 10)
			for _, e := range read {
				if strings.HasPrefix(e.Stream, "s-") {
					require.Equal(t, []int{1, 2}, []int{e.Retries, e.Crashes})
				}
			}
			f.Do("DEL", owned.Key)
			require.Equal(t, []string{"owned"}, f.stranded(i, scan.Selection{}), "its owner is gone")
			moved, err = i.Reannounce(f.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Equal(t, 1, moved)
		})
	}
}

// What is pending although its body was trimmed is reported, too. Where there are as many of both kinds, neither shows.
func TestBacklogTellsOfTrimmedBodies(t *testing.T) {
	f := newFleet(t, 1)
	i := f.inspector()
	f.open(0, "a.1")
	for n := range 6 {
		f.announce(0, "s-"+strconv.Itoa(n))
	}
	read := f.read(0, "a.1", 4)
	f.Do("XTRIM", f.layout.Keys(0).Input, "MAXLEN", "4")
	b := f.backlog(i)
	require.Equal(t, []int{2, 0, 2}, []int{b.WithoutBody, b.Stranded, b.Lag})
	f.Do("XACK", f.layout.Keys(0).Input, f.layout.Group(), read[3].ID)
	b = f.backlog(i)
	require.Equal(t, []int{1, 0}, []int{b.WithoutBody, b.Stranded})
	b = f.backlog(f.inspector(func(c *scan.InspectorConfig) { c.CountLimit = scan.NoCount }))
	require.Equal(t, scan.LagEstimated, b.LagBy)
	require.Equal(t, []int{1, -1, -1}, []int{b.Lag, b.Stranded, b.WithoutBody}, "too small by what is pending without a body")
}

// Large announcements come in small pages, and none is left out; malformed ones are requeued, too, and become dead letters where
// they are read. One that is too wide stays, and the error names it.
func TestStrandedPagesAreBoundedInBytes(t *testing.T) {
	f := newFleet(t, 1)
	i := f.inspector(func(c *scan.InspectorConfig) { c.Page = 100 })
	f.open(0, "a.1")
	k := f.layout.Keys(0)
	large := strings.Repeat("x", 700<<10)
	for n := range 5 {
		f.announce(0, "large-"+strconv.Itoa(n), "more", large)
		f.announce(0, "small-"+strconv.Itoa(n))
	}
	f.add(k.Input, "other", "field")
	wide := []string{}
	for n := range 4000 {
		wide = append(wide, "f"+strconv.Itoa(n), "v")
	}
	f.announce(0, "wide", wide...)
	bare := f.add(k.Input, lease.FieldReason, "ours alone")
	f.read(0, "a.1", 20)
	f.Do("XGROUP", "DELCONSUMER", k.Input, f.layout.Group(), "a.1")
	require.Len(t, f.stranded(i, scan.Selection{}), 13)
	moved, err := i.Reannounce(f.ctx, scan.Selection{})
	require.ErrorContains(t, err, "more fields than can be copied")
	require.ErrorContains(t, err, bare)
	require.Equal(t, 11, moved)
	require.Equal(t, []string{"wide", ""}, f.stranded(i, scan.Selection{}))
}

// Dead letters came to refer to entries while Reannounce was under way: it had read the letters once, copied those entries as a
// whole and deleted them, and the letters referred to nothing.
func TestWhatALetterComesToReferToIsNotAnnouncedAgain(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		k := f.layout.Keys(0)
		f.open(0, "a.1")
		var ids []string
		for range 5 {
			ids = append(ids, f.announce(0, "s"))
		}
		f.read(0, "a.1", 3)
		f.Do("XGROUP", "DELCONSUMER", k.Input, f.layout.Group(), "a.1")
		f.open(0, "b.1")
		f.read(0, "b.1", 2)
		p := proxy.New(t, f.server.Addr())
		for _, s := range scan.Scripts() {
			p.RegisterScript(s.Name(), s.Body())
		}
		far, err := rueidis.NewClient(p.ClientOption())
		require.NoError(t, err)
		t.Cleanup(far.Close)
		// meanwhile makes a letter refer to an entry before a script runs that has the argument arg.
		meanwhile := func(script, arg, id string) {
			var once sync.Once
			p.Inject(proxy.Fault{Command: script, Action: proxy.Delay, Match: func(args [][]byte) bool {
				for _, a := range args {
					if string(a) == arg {
						once.Do(func() {
							f.Try("XCLAIM", k.Input, f.layout.Group(), "b.1", "0", id, "FORCE", "JUSTID")
							r := moveTo(&lease.Entry{ID: id, Key: k.Lease("s")}, lease.ToReference, "too_large: it was")
							if out, err := f.leases.Requeue(f.ctx, 0, "b.1", []lease.Disposition{r}); err != nil || out[0].Verdict != lease.Referred {
								t.Error(out, err)
							}
						})
					}
				}
				return false
			}})
		}
		meanwhile("reannounce", ids[0], ids[0])
		meanwhile("stranded", "("+ids[2], ids[3])
		i, err := scan.NewInspector(far, "shop", scan.InspectorConfig{Page: 3, Timeout: 20 * time.Second})
		require.NoError(t, err)
		moved, err := i.Reannounce(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 2, moved)
		letters := collect(t, f.inspector(), scan.Selection{})
		require.Len(t, letters, 2)
		for _, l := range letters {
			there, err := f.Try("XRANGE", k.Input, l.Reference, l.Reference).AsXRange()
			require.NoError(t, err)
			require.Len(t, there, 1, "which %s refers to", l.ID)
		}
		require.Equal(t, 2, f.backlog(f.inspector()).Lag)

		// More letters than one script reads.
		e := f.read(0, "b.1", 1)[0]
		f.Do("XACK", k.Input, f.layout.Group(), e.ID)
		var once sync.Once
		p.Inject(proxy.Fault{Command: "reannounce", Action: proxy.Delay, Match: func([][]byte) bool {
			once.Do(func() {
				f.Try("EVAL", "for i = 1, 300 do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", k.DeadLetters)
			})
			return false
		}})
		moved, err = i.Reannounce(f.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, moved)
	})
}

// What is too heavy to be copied stays, and the error names it; and no script copies more than its share.
func TestReannounceCopiesNoMoreThanOneScriptShould(t *testing.T) {
	f := newFleet(t, 1)
	f.open(0, "a.1")
	k := f.layout.Keys(0)
	heavy := f.announce(0, "heavy", "more", strings.Repeat("x", 20_000))
	f.announce(0, "light")
	for range 2 {
		f.announce(0, "s", "more", strings.Repeat("x", 5<<20))
	}
	f.read(0, "a.1", 10)
	f.read(0, "a.1", 10)
	f.Do("XGROUP", "DELCONSUMER", k.Input, f.layout.Group(), "a.1")
	moved, err := f.inspector(limited).Reannounce(f.ctx, scan.Selection{})
	require.ErrorContains(t, err, heavy)
	require.ErrorContains(t, err, "MaxMove is 10000")
	require.Equal(t, 1, moved, "the others go on")
	require.Equal(t, []string{"heavy", "s", "s"}, f.stranded(f.inspector(), scan.Selection{}))
	moved, err = f.inspector().Reannounce(f.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 3, moved)
}
