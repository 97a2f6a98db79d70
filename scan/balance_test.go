package scan_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// member puts a consumer into the fleet of a partition; fill is empty for one that is not in the load.
func (f *fleet) member(p int, consumer, row, fill string) {
	f.t.Helper()
	k := f.layout.Keys(p)
	f.Do("HSET", k.Fleet, consumer, row)
	if fill != "" {
		f.Do("ZADD", k.Load, fill, consumer)
	}
}

// entries adds as many announcements to a partition.
func (f *fleet) entries(p, n int) {
	f.t.Helper()
	f.Do("EVAL", "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'f', 'v') end", "1", f.layout.Keys(p).Input, strconv.Itoa(n))
}

func (f *fleet) balance() scan.Balance {
	f.t.Helper()
	b, err := f.inspector().Balance(f.ctx)
	require.NoError(f.t, err)
	return b
}

// Three partitions, in which processes share, are full or leave, one of them with a session that replaces a lost one; one is dead; and one
// is of an earlier version.
func TestBalance(t *testing.T) {
	for _, program := range servers.Available(t, servers.Programs()...) {
		t.Run(program.String(), func(t *testing.T) {
			f := fleetOn(t, servers.New(t, servers.On(program)), 3)
			require.Equal(t, scan.Balance{}, f.balance())
			const (
				a = "pod-a.ABCDEFGHIJKL"
				b = "pod-b.ABCDEFGHIJKL"
				c = "pod-c.ABCDEFGHIJKL"
				d = "pod-d.ABCDEFGHIJKL"
			)
			over := time.UnixMilli(1_700_000_000_000)
			for p := range 3 {
				for _, consumer := range []string{a, c, "old.ABCDEFGHIJKL", map[bool]string{true: b, false: b + "-2"}[p == 0]} {
					f.open(p, consumer)
				}
				f.member(p, a, fmt.Sprintf("2000 0 %d shares", over.UnixMilli()+int64(p)), "30.5")
				f.member(p, c, fmt.Sprintf("1000 %d 0 full", 10*p), "")
				f.entries(p, 100*(p+1))
				f.Do("HSET", f.layout.Keys(p).Books, "sums", fmt.Sprintf("4500 %d 3 0", 10*p))
			}
			f.member(0, b, "500 0 0 shares", "7.99")
			f.member(1, b+"-2", "500 0 0 shares", "8")
			f.member(2, b+"-2", "500 4 0 draining", "")
			f.member(0, d, "2000 0 0 shares", "100")
			f.setDeadline(0, d, 1)
			f.member(0, "odd.ABCDEFGHIJKL", "nonsense", "1")
			f.Do("ZADD", f.layout.Keys(0).Load, "1000", c)
			f.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "pod-b", For: time.Hour})
			f.ask(scan.Wish{Kind: scan.WishFreeze, For: time.Hour})

			found := f.balance()
			require.WithinDuration(t, time.UnixMilli(f.Now()).Add(time.Hour), found.FrozenUntil, time.Minute)
			require.InDelta(t, time.Hour.Seconds(), found.Processes[1].Wishes[0].Left.Seconds(), 60)
			found.FrozenUntil, found.Processes[1].Wishes[0].Left = time.Time{}, 0
			fair := 100/5.5 + 190/5.5 + 280/5.5
			require.InDelta(t, fair, found.Fair, 1e-9)
			fair = found.Fair
			require.Equal(t, scan.Balance{
				Processes: []scan.Process{
					{Name: a, ConsumerID: "pod-a", State: scan.BalanceShares, Weight: 2, Held: 61, Fill: 30.5, Fair: 2 * fair, Over: over},
					{Name: b, ConsumerID: "pod-b", State: scan.BalanceDraining, Weight: .5, Held: 4, Fill: 8,
						Wishes: []scan.Wish{{Kind: scan.WishDrain, Consumer: "pod-b"}}},
					{Name: c, ConsumerID: "pod-c", State: scan.BalanceFull, Weight: 1, Held: 30, Fill: 30},
					{Name: d, ConsumerID: "pod-d", Dead: true, State: scan.BalanceShares, Weight: 2, Held: 200, Fill: 100, Fair: 2 * fair},
				},
				Streams: 570, Away: 30, Weight: 5.5, Fair: fair, Older: 1,
			}, found)

			// What has drifted below nothing, and what somebody wrote, counts as nothing.
			f.Do("HSET", f.layout.Keys(0).Books, "sums", "-1000 x 0 0")
			f.Do("HSET", f.layout.Keys(1).Books, "sums", "0 -3 0 0")
			f.Do("HSET", f.layout.Keys(2).Books, "sums", "1000000000000000 1000 0 0")
			found = f.balance()
			require.Equal(t, []any{300, 1000, 1., 300.}, []any{found.Streams, found.Away, found.Weight, found.Fair})
		})
	}
}

// reporter is a consumer that reports a standing by its beats, in partition 0.
type reporter struct {
	*fleet
	name     string
	standing lease.Standing
	told     lease.Fleet
	leases   *lease.Store
}

func (f *fleet) reporter(name string, standing lease.Standing) *reporter {
	f.t.Helper()
	r := &reporter{fleet: f, name: name, standing: standing}
	r.leases = lease.NewStore(f.layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: fleetSessionTTL, Gap: time.Hour, Settle: true, Timeout: 20 * time.Second,
		Balance: lease.NewBalance(f.layout, lease.NewClock(), func(int) lease.Standing { return r.standing },
			func(_ int, told lease.Fleet) { r.told = told }, func(_ int, err error) { require.NoError(f.t, err) }),
	}, f.Client, f.Client, nil)
	_, err := r.leases.Open(f.ctx, 0, name, 0)
	require.NoError(f.t, err)
	return r
}

func (r *reporter) beats() lease.Fleet {
	r.t.Helper()
	_, err := r.leases.Beat(r.ctx, 0, r.name, false)
	require.NoError(r.t, err)
	return r.told
}

// What beats write is what is shown, and adding it up changes nothing. Sums that have drifted are as they were before the next beat.
func TestBalanceAndTallyOfWhatBeatsReport(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		f.open(0, "older.1")
		a := f.reporter("a.ABCDEFGHIJKL", lease.Standing{Role: lease.RoleShares, Weight: 2.5, Held: 20, Over: time.UnixMilli(1_700_000_000_000)})
		b := f.reporter("b.ABCDEFGHIJKL", lease.Standing{Role: lease.RolePaused, Weight: 1, Held: 7, Here: 7})
		c := f.reporter("c.ABCDEFGHIJKL", lease.Standing{Role: lease.RoleEvacuating, Weight: 1, Held: 3, Here: 3})
		f.entries(0, 42)
		for range 2 {
			for _, r := range []*reporter{a, b, c} {
				r.standing.Held += 5
				r.beats()
			}
		}
		want := a.beats()
		require.Equal(t, []any{35, 3.5}, []any{want.Total, want.Weight}, "the older one counts as one")
		books := func() map[string]string {
			found, err := f.Try("HGETALL", f.layout.Keys(0).Books).AsStrMap()
			require.NoError(t, err)
			delete(found, "oldest")
			return found
		}
		before := books()
		require.NoError(t, f.store().Tally(f.ctx, 0, a.name))
		require.Equal(t, before, books())
		found := f.balance()
		require.Equal(t, scan.Balance{
			Processes: []scan.Process{
				{Name: a.name, ConsumerID: "a", State: scan.BalanceShares, Weight: 2.5, Held: 30, Fill: 12, Fair: 25, Over: a.standing.Over},
				{Name: b.name, ConsumerID: "b", State: scan.BalancePaused, Weight: 1, Held: 7, Fill: 7},
				{Name: c.name, ConsumerID: "c", State: scan.BalanceEvacuating, Weight: 1},
			},
			Streams: 35, Away: 7, Weight: 3.5, Fair: 10, Older: 1,
		}, found)

		f.Do("HSET", f.layout.Keys(0).Books, "sums", "99 1 3 12")
		f.setDeadline(0, c.name, 1)
		require.NoError(t, f.store().Tally(f.ctx, 0, a.name))
		before["sums"] = "2500 7 4 1"
		require.Equal(t, before, books())
		want.Changes++
		require.Equal(t, want, a.beats())
		require.NoError(t, a.leases.Leave(f.ctx, 0, c.name), "it is gone, and is not counted twice")
		require.Equal(t, want, a.beats())
	})
}

// A partition that cannot be read is missing, and named; so are wishes.
func TestBalanceOfWhatCanBeRead(t *testing.T) {
	f := newFleet(t, 2)
	for p := range 2 {
		f.entries(p, 10)
		f.Do("HSET", f.layout.Keys(p).Books, "sums", "1000 0 0 0")
	}
	f.Do("EVAL", "for i = 1, 10001 do redis.call('HSET', KEYS[1], 'x' .. i, '1000 0 0 shares') end", "1", f.layout.Keys(1).Fleet)
	found, err := f.inspector().Balance(f.ctx)
	require.ErrorContains(t, err, "fleet of partition 1: scan: "+f.layout.Keys(1).Fleet+" has 10001 fields, more than 10000")
	require.Equal(t, scan.Balance{Streams: 10, Weight: 1, Fair: 10}, found)
	f.Do("DEL", f.layout.Keys(1).Fleet)
	require.Equal(t, scan.Balance{Streams: 20, Weight: 1, Fair: 20}, f.balance())
	for _, key := range []string{"Input", "Sessions", "Books", "Load", "Fleet", "Wishes"} {
		k := f.layout.Keys(1)
		name := map[string]string{"Input": k.Input, "Sessions": k.Sessions, "Books": k.Books, "Load": k.Load, "Fleet": k.Fleet,
			"Wishes": f.layout.Wishes()}[key]
		f.Try("RENAME", name, "aside")
		f.Do("SET", name, "x")
		found, err = f.inspector().Balance(f.ctx)
		require.ErrorContains(t, err, "WRONGTYPE", key)
		require.ErrorContains(t, err, " on "+name)
		require.Positive(t, found.Streams)
		f.Do("DEL", name)
		f.Try("RENAME", "aside", name)
	}
	f.Do("DEL", f.layout.Meta())
	_, err = f.inspector().Balance(f.ctx)
	require.ErrorIs(t, err, scan.ErrUnknownService)
}

// Nothing is written, and no right to write is needed; a server that was demoted is not read.
func TestBalanceOnlyReads(t *testing.T) {
	everyServer(t, func(t *testing.T, f *fleet) {
		f.open(0, "a.1")
		f.member(0, "a.1", "1000 0 0 shares", "3")
		f.entries(0, 3)
		f.ask(scan.Wish{Kind: scan.WishFreeze, For: time.Hour})
		reads := []string{"hmget", "hget", "xlen", "hlen", "hgetall", "zrange", "zrangebyscore", "pttl", "time"}
		rules := []string{"~*", "+evalsha", "+eval"}
		for _, command := range reads {
			rules = append(rules, "+"+command)
		}
		i := f.as(rules...)
		before := f.Text("INFO", "persistence")
		found, err := i.Balance(f.ctx)
		require.NoError(t, err)
		require.Len(t, found.Processes, 1)
		require.Equal(t, 3, found.Processes[0].Held)
		require.NotZero(t, found.FrozenUntil)
		require.Equal(t, changed(before), changed(f.Text("INFO", "persistence")))
		for _, command := range []string{"xlen", "hlen", "hgetall", "zrange", "zrangebyscore"} {
			_, err = f.as(append(rules, "-"+command)...).Balance(f.ctx)
			require.True(t, lease.LacksRight(err), "%s: %v", command, err)
		}
		f.Do("REPLICAOF", "127.0.0.1", "1")
		_, err = f.inspector(func(c *scan.InspectorConfig) { c.Partitions = 1 }).Balance(f.ctx)
		require.ErrorContains(t, err, "READONLY")
	})
}

// changed returns how many writes the server has counted.
func changed(info string) (n int) {
	_, rest, _ := strings.Cut(info, "rdb_changes_since_last_save:")
	fmt.Sscan(rest, &n)
	return n
}

// On a cluster the books of partitions are on several masters, and wishes with partition 0. While the slot of that migrates, wishes go on
// without signals; its books wait, and those of other partitions are read.
func TestBalanceOnACluster(t *testing.T) {
	ctx := t.Context()
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	client, layout := c.Client(t), layoutOf(t, 8)
	require.NoError(t, lease.Agree(ctx, lease.NewRunner(client, nil), layout))
	leases := lease.NewStore(layout, lease.Settings{LeaseTTL: time.Minute, SessionTTL: time.Minute, Gap: time.Hour, Timeout: 5 * time.Second}, client, client, nil)
	store := scan.NewStore(layout, scan.Settings{Config: scan.Config{}.WithDefaults(), SessionTTL: time.Minute, Gap: time.Hour, Timeout: 5 * time.Second}, client, nil)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Timeout: 5 * time.Second})
	require.NoError(t, err)
	do := func(args ...string) {
		t.Helper()
		require.NoError(t, client.Do(ctx, client.B().Arbitrary(args[0]).Keys(args[1]).Args(args[2:]...).Build()).Error())
	}
	const pod = "pod.ABCDEFGHIJKL"
	for p := range layout.Partitions() {
		k := layout.Keys(p)
		_, err := leases.Open(ctx, p, pod, 0)
		require.NoError(t, err)
		do("XADD", k.Input, "*", "f", "v")
		do("HSET", k.Fleet, pod, "500 0 0 shares", "gone.ABCDEFGHIJKL", "1000 0 0 shares")
		do("ZADD", k.Load, "16", pod, "99", "gone.ABCDEFGHIJKL")
		require.NoError(t, store.Tally(ctx, p, pod))
	}
	want := scan.Balance{Streams: 8, Weight: .5, Fair: 16,
		Processes: []scan.Process{{Name: pod, ConsumerID: "pod", State: scan.BalanceShares, Weight: .5, Held: 8, Fill: 16, Fair: 8}}}
	found, err := i.Balance(ctx)
	require.NoError(t, err)
	require.Equal(t, want, found)

	masters, err := c.Masters(ctx)
	require.NoError(t, err)
	from, err := c.Owner(ctx, layout.Keys(0).Slot)
	require.NoError(t, err)
	to := masters[0]
	if to == from {
		to = masters[1]
	}
	move, err := c.BeginMove(ctx, layout.Keys(0).Slot, to)
	require.NoError(t, err)
	asks := func(kind scan.WishKind, count int) {
		t.Helper()
		require.NoError(t, i.Ask(ctx, scan.Wish{Kind: kind, Consumer: "pod", For: time.Hour}))
		wishes, err := store.Wishes(ctx)
		require.NoError(t, err)
		require.Len(t, wishes, count)
		require.Equal(t, kind, wishes[0].Kind)
	}
	asks(scan.WishPause, 1) // there is none yet, and no signal
	require.NoError(t, i.Withdraw(ctx, scan.WishPause, "pod"))
	asks(scan.WishDrain, 1)
	require.NoError(t, move.Keys(ctx, layout.Keys(0).Books))
	require.Error(t, store.Tally(ctx, 0, pod))
	found, err = i.Balance(ctx)
	require.ErrorContains(t, err, "fleet of partition 0")
	require.InDelta(t, 14, found.Fair, 1e-9)
	require.NoError(t, move.Finish(ctx))
	require.NoError(t, c.AwaitReady(ctx))
	require.Eventually(t, func() bool { return store.Tally(ctx, 0, pod) == nil }, 30*time.Second, 50*time.Millisecond)
	asks(scan.WishPause, 1)
	found, err = i.Balance(ctx)
	require.NoError(t, err)
	require.Len(t, found.Processes[0].Wishes, 1)
	found.Processes[0].Wishes = nil
	require.Equal(t, want, found)
	signals, err := leases.Signals(ctx, 0, "0-18446744073709551615", 10)
	require.NoError(t, err)
	require.Len(t, signals.Signals, 1, "the last one; the others could not be added")
}
