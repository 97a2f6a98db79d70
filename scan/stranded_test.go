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

func (o *office) stranded(i *scan.Inspector, s scan.Selection) (found []string) {
	o.t.Helper()
	for x, err := range i.Stranded(o.ctx, s) {
		require.NoError(o.t, err)
		found = append(found, x.Stream)
	}
	return found
}

// Announcements that somebody acknowledged by hand are neither pending nor undelivered: the backlog counts them, they are
// listed, and brought back, once.
func TestStrandedAnnouncementsComeBack(t *testing.T) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			t.Parallel()
			o := officeOn(t, servers.New(t, servers.On(program)), 1)
			i := o.inspector()
			o.open(0, "a.1")
			k := o.layout.Keys(0)
			require.Empty(t, o.stranded(i, scan.Selection{}))
			owned := o.own("a.1", "owned")
			var lost []string
			for n := range 8 {
				o.announce(0, "s-"+strconv.Itoa(n), lease.FieldRetries, "1", lease.FieldCrashes, "2", "other", "field")
				lost = append(lost, "s-"+strconv.Itoa(n))
			}
			later := o.Now() + time.Hour.Milliseconds()
			o.announce(0, "not before", lease.FieldNotBefore, strconv.FormatInt(later, 10))
			o.announce(0, "pending")
			o.read(0, "a.1", 9)
			o.read(0, "a.1", 1)
			o.Do("XGROUP", "DELCONSUMER", k.Input, o.layout.Group(), "a.1")
			o.announce(0, "read since")
			o.read(0, "b.1", 1)
			o.announce(0, "undelivered")
			b := o.backlog(i)
			require.Equal(t, []int{13, 1, 1, 11, 0}, []int{b.Length, b.Lag, b.Pending, b.Stranded, b.WithoutBody})

			// The owner of the first brings that back itself.
			require.Equal(t, append(append([]string{}, lost...), "not before", "pending"), o.stranded(i, scan.Selection{}))
			require.Equal(t, []string{"s-4"}, o.stranded(i, scan.Selection{Stream: "s-4"}))
			require.Empty(t, o.stranded(i, scan.Selection{Partitions: []int{7}}))
			moved, err := i.Reannounce(o.ctx, scan.Selection{Stream: "s-4"})
			require.NoError(t, err)
			require.Equal(t, 1, moved)
			moved, err = i.Reannounce(o.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Equal(t, 9, moved)
			moved, err = i.Reannounce(o.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Zero(t, moved, "asked again")
			b = o.backlog(i)
			require.Equal(t, []int{10, 1, 1, 1}, []int{b.Lag, b.Pending, b.Stranded, b.Later})
			due := strconv.FormatInt(later, 10)
			require.Equal(t, 1, o.Num("ZCOUNT", k.Later, due, due))

			read := o.read(0, "b.1", 20)
			require.Len(t, read, 10)
			for _, e := range read {
				if strings.HasPrefix(e.Stream, "s-") {
					require.Equal(t, []int{1, 2}, []int{e.Retries, e.Crashes})
				}
			}
			o.Do("DEL", owned.Key)
			require.Equal(t, []string{"owned"}, o.stranded(i, scan.Selection{}), "its owner is gone")
			moved, err = i.Reannounce(o.ctx, scan.Selection{})
			require.NoError(t, err)
			require.Equal(t, 1, moved)
		})
	}
}

// What is pending though its body was trimmed is told, too. Where there is as much of both kinds, neither shows.
func TestBacklogTellsOfTrimmedBodies(t *testing.T) {
	o := newOffice(t, 1)
	i := o.inspector()
	o.open(0, "a.1")
	for n := range 6 {
		o.announce(0, "s-"+strconv.Itoa(n))
	}
	read := o.read(0, "a.1", 4)
	o.Do("XTRIM", o.layout.Keys(0).Input, "MAXLEN", "4")
	b := o.backlog(i)
	require.Equal(t, []int{2, 0, 2}, []int{b.WithoutBody, b.Stranded, b.Lag})
	o.Do("XACK", o.layout.Keys(0).Input, o.layout.Group(), read[3].ID)
	b = o.backlog(i)
	require.Equal(t, []int{1, 0}, []int{b.WithoutBody, b.Stranded})
	b = o.backlog(o.inspector(func(c *scan.InspectorConfig) { c.CountLimit = -1 }))
	require.Equal(t, []int{-1, -1, -1}, []int{b.Lag, b.Stranded, b.WithoutBody})
}

// Large announcements come in small pages, and none of them is left out; malformed ones come back, too, and become dead
// letters where they are read. One that is too wide stays, and is told of.
func TestStrandedPagesAreBoundedInBytes(t *testing.T) {
	o := newOffice(t, 1)
	i := o.inspector(func(c *scan.InspectorConfig) { c.Page = 100 })
	o.open(0, "a.1")
	k := o.layout.Keys(0)
	large := strings.Repeat("x", 700<<10)
	for n := range 5 {
		o.announce(0, "large-"+strconv.Itoa(n), "more", large)
		o.announce(0, "small-"+strconv.Itoa(n))
	}
	o.add(k.Input, "other", "field")
	wide := []string{}
	for n := range 4000 {
		wide = append(wide, "f"+strconv.Itoa(n), "v")
	}
	o.announce(0, "wide", wide...)
	bare := o.add(k.Input, lease.FieldReason, "ours alone")
	o.read(0, "a.1", 20)
	o.Do("XGROUP", "DELCONSUMER", k.Input, o.layout.Group(), "a.1")
	require.Len(t, o.stranded(i, scan.Selection{}), 13)
	moved, err := i.Reannounce(o.ctx, scan.Selection{})
	require.ErrorContains(t, err, "more fields than can be copied")
	require.ErrorContains(t, err, bare)
	require.Equal(t, 11, moved)
	require.Equal(t, []string{"wide", ""}, o.stranded(i, scan.Selection{}))
}

// Dead letters came to refer to entries while Reannounce was under way: it had looked at the letters once, copied those entries
// whole and deleted them, and the letters pointed at nothing.
func TestWhatALetterComesToReferToIsNotAnnouncedAgain(t *testing.T) {
	everyOffice(t, func(t *testing.T, o *office) {
		k := o.layout.Keys(0)
		o.open(0, "a.1")
		var ids []string
		for range 5 {
			ids = append(ids, o.announce(0, "s"))
		}
		o.read(0, "a.1", 3)
		o.Do("XGROUP", "DELCONSUMER", k.Input, o.layout.Group(), "a.1")
		o.open(0, "b.1")
		o.read(0, "b.1", 2)
		p := proxy.New(t, o.server.Addr())
		for _, s := range scan.Scripts() {
			p.RegisterScript(s.Name(), s.Body())
		}
		far, err := rueidis.NewClient(p.ClientOption())
		require.NoError(t, err)
		t.Cleanup(far.Close)
		// meanwhile has a letter refer to an entry before a script runs that has an argument.
		meanwhile := func(script, arg, id string) {
			var once sync.Once
			p.Inject(proxy.Fault{Command: script, Action: proxy.Delay, Match: func(args [][]byte) bool {
				for _, a := range args {
					if string(a) == arg {
						once.Do(func() {
							o.Try("XCLAIM", k.Input, o.layout.Group(), "b.1", "0", id, "FORCE", "JUSTID")
							r := giving(&lease.Entry{ID: id, Key: k.Lease("s")}, lease.ToReference, "too_large: it was")
							if out, err := o.leases.Requeue(o.ctx, 0, "b.1", []lease.Disposition{r}); err != nil || out[0].Verdict != lease.Referred {
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
		moved, err := i.Reannounce(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 2, moved)
		letters := collect(t, o.inspector(), scan.Selection{})
		require.Len(t, letters, 2)
		for _, l := range letters {
			there, err := o.Try("XRANGE", k.Input, l.Reference, l.Reference).AsXRange()
			require.NoError(t, err)
			require.Len(t, there, 1, "which %s refers to", l.ID)
		}
		require.Equal(t, 2, o.backlog(o.inspector()).Lag)

		// More letters than one script looks at.
		e := o.read(0, "b.1", 1)[0]
		o.Do("XACK", k.Input, o.layout.Group(), e.ID)
		var once sync.Once
		p.Inject(proxy.Fault{Command: "reannounce", Action: proxy.Delay, Match: func([][]byte) bool {
			once.Do(func() {
				o.Try("EVAL", "for i = 1, 300 do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", k.DeadLetters)
			})
			return false
		}})
		moved, err = i.Reannounce(o.ctx, scan.Selection{})
		require.NoError(t, err)
		require.Equal(t, 1, moved)
	})
}

// What is too heavy to be copied stays and is told of, and no script copies more than its share.
func TestReannounceCopiesNoMoreThanOneScriptShould(t *testing.T) {
	o := newOffice(t, 1)
	o.open(0, "a.1")
	k := o.layout.Keys(0)
	heavy := o.announce(0, "heavy", "more", strings.Repeat("x", 20_000))
	o.announce(0, "light")
	for range 2 {
		o.announce(0, "s", "more", strings.Repeat("x", 5<<20))
	}
	o.read(0, "a.1", 10)
	o.read(0, "a.1", 10)
	o.Do("XGROUP", "DELCONSUMER", k.Input, o.layout.Group(), "a.1")
	moved, err := o.inspector(limited).Reannounce(o.ctx, scan.Selection{})
	require.ErrorContains(t, err, heavy)
	require.ErrorContains(t, err, "MaxMove is 10000")
	require.Equal(t, 1, moved, "the others go on")
	require.Equal(t, []string{"heavy", "s", "s"}, o.stranded(o.inspector(), scan.Selection{}))
	moved, err = o.inspector().Reannounce(o.ctx, scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 3, moved)
}
