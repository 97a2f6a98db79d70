package scan_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// keys are all that there are on the server.
func (o *office) keys() []string {
	o.t.Helper()
	names, err := o.Try("KEYS", "*").AsStrSlice()
	require.NoError(o.t, err)
	sort.Strings(names)
	return names
}

// stop makes everybody dead, as if all had been killed some time ago.
func (o *office) stop() {
	o.t.Helper()
	for p := range o.layout.Partitions() {
		names, err := o.Try("ZRANGEBYSCORE", o.layout.Keys(p).Sessions, "1", "+inf").AsStrSlice()
		require.NoError(o.t, err)
		for _, name := range names {
			o.setDeadline(p, name, 1)
		}
	}
}

// furnish puts something of everything into the service, whose consumers are dead then. It returns how often each stream
// was announced and is not done.
func (o *office) furnish(perPartition int) map[string]int {
	o.t.Helper()
	want := make(map[string]int)
	name := func(p, i int) string {
		for n := 0; ; n++ {
			if s := fmt.Sprintf("p%d-%d-{%d}", p, i, n); o.layout.Of(s) == p {
				want[s]++
				return s
			}
		}
	}
	long := strings.Repeat("long", 16<<10)
	want[long]++
	o.announce(o.layout.Of(long), long)
	for p := range o.layout.Partitions() {
		me := fmt.Sprintf("dead.%d", p)
		o.open(p, me)
		for i := range perPartition {
			o.announce(p, name(p, 5*i), "_retry_count", "2", "_crash_count", "1", "mine", "kept")
		}
		entries := o.read(p, me, 100)
		o.take(p, me, entries[:len(entries)/2]...)
		for i := range perPartition {
			o.announce(p, name(p, 5*i+1))
			e := o.read(p, me, 1)[0]
			r := giving(e, lease.ToLater, "")
			r.Delay = time.Hour
			o.requeue(p, me, r)
		}
		for i := range perPartition {
			o.announce(p, name(p, 5*i+2))
			o.requeue(p, me, giving(o.read(p, me, 1)[0], lease.ToDeadLetters, "permanent: told so"))
		}
		for i := range perPartition {
			o.announce(p, name(p, 5*i+3), "_not_before", strconv.FormatInt(o.Now()+3_600_000, 10))
		}
		if p == 0 {
			o.announce(0, name(o.layout.Partitions()-1, 5000)) // a stray of a producer that knows of no partitions
		}
	}
	o.stop()
	return want
}

// found is how often each stream is there, in whatever place, and that each is where it belongs.
func (o *office) found(layout *cluster.Layout) map[string]int {
	o.t.Helper()
	found := make(map[string]int)
	add := func(p int, stream string) {
		found[stream]++
		require.Equal(o.t, p, layout.Of(stream), "%.40s", stream)
	}
	for p := range layout.Partitions() {
		k := layout.Keys(p)
		for _, key := range []string{k.Input, k.DeadLetters} {
			for _, e := range o.Stream(key) {
				var body []rueidis.XRangeFieldValue
				for f, v := range e.FieldValues {
					body = append(body, rueidis.XRangeFieldValue{Field: f, Value: v})
				}
				entry, err := lease.ParseEntry(layout, p, e.ID, body)
				require.NoError(o.t, err)
				add(p, entry.Stream)
				if e.FieldValues["mine"] != "" {
					require.Equal(o.t, 2, entry.Retries)
					require.Equal(o.t, 1, entry.Crashes)
				}
			}
		}
		later, err := o.Try("ZRANGE", k.Later, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(o.t, err)
		for _, z := range later {
			require.Greater(o.t, z.Score, float64(o.Now()))
			_, text, ok := strings.Cut(z.Member, `{"DataStreamName":"`)
			require.True(o.t, ok)
			stream, _, _ := strings.Cut(text, `"`)
			add(p, stream)
		}
	}
	return found
}

func (o *office) survey() *scan.Survey {
	o.t.Helper()
	s, err := o.inspector().Survey(o.ctx)
	require.NoError(o.t, err)
	return s
}

// A stopped service goes without a trace, and its neighbours stay. What will go is said before.
func TestDeleteService(t *testing.T) {
	o := newOffice(t, 4)
	neighbours := []string{"shop-input-x", "{shop-input-x}:lease:s", "{shop-input-1-input}:sessions", "{shop-input-01}:later", "shop-inputs",
		"{shop-input-2048}:later", "shop"}
	for _, key := range neighbours {
		o.Do("SET", key, "x")
	}
	o.furnish(5)
	o.Do("XADD", "shop-input-700", "*", "f", "v") // announced with another number
	o.Do("SET", "{shop-input-3}:lease:orphan", "nobody.1 1 1-1")
	o.Do("SET", "{shop-input-3}:recover:dead.3", "x")
	o.Do("HSET", "{shop-input-2}:checkpoints", "sx", "1")
	before := o.keys()
	s := o.survey()
	require.Equal(t, 4, s.Partitions)
	require.Len(t, s.Contents, 5)
	total := s.Total()
	require.Equal(t, 4*10+1+1+1, total.Announcements)
	require.Equal(t, 20, total.Later)
	require.Equal(t, 20, total.DeadLetters)
	require.Positive(t, total.Pending)
	require.Positive(t, total.Leases)
	require.Zero(t, total.Alive)
	require.Equal(t, []string{"{shop-input-2}:checkpoints"}, s.Unknown)
	for _, k := range total.Keys {
		require.Contains(t, before, k.Name)
		require.NotEqual(t, "none", k.Type)
	}
	require.Equal(t, before, o.keys(), "a survey changes nothing")

	var last scan.Progress
	deleted, err := o.inspector().DeleteService(o.ctx, func(p scan.Progress) { last = p })
	require.NoError(t, err)
	sort.Strings(neighbours)
	require.Equal(t, neighbours, o.keys())
	require.Equal(t, len(before)-len(neighbours), deleted)
	require.Equal(t, deleted, last.Deleted)

	_, err = o.inspector().DeleteService(o.ctx, nil)
	require.NoError(t, err, "of nothing")
	require.Equal(t, neighbours, o.keys())
	require.NoError(t, o.leases.Agree(o.ctx), "it may be made again")
}

// While a member lives, in whatever partition, nothing is deleted or moved, and the record stays as it is.
func TestRunningServiceIsNotTouched(t *testing.T) {
	for _, p := range []int{0, 3} {
		o := newOffice(t, 4)
		o.furnish(2)
		o.open(p, "alive.1")
		before := o.keys()
		record := o.Do("HGETALL", o.layout.Meta())
		_, err := o.inspector().DeleteService(o.ctx, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.ErrorContains(t, err, "alive.1")
		_, err = o.inspector().Repartition(o.ctx, 8, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.Equal(t, before, o.keys())
		require.Equal(t, record.String(), func() string { m := o.Do("HGETALL", o.layout.Meta()); return m.String() }())
		require.NoError(t, o.leases.Agree(o.ctx))
	}
}

// A member comes between the look and the record: it is found by the second look, and the record is taken back.
func TestMemberThatComesMeanwhileStopsIt(t *testing.T) {
	o := newOffice(t, 4)
	want := o.furnish(2)
	for _, delete := range []bool{true, false} {
		client := &flaky{Client: o.Client, before: func(script string) error {
			if script == "stop" {
				o.Do("ZADD", o.layout.Keys(2).Sessions, strconv.FormatInt(o.Now()+60_000, 10), "late.1")
			}
			return nil
		}}
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		if delete {
			_, err = i.DeleteService(o.ctx, nil)
		} else {
			_, err = i.Repartition(o.ctx, 2, nil)
		}
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.NoError(t, o.leases.Agree(o.ctx), "as before")
		require.Equal(t, "", o.Text("HGET", o.layout.Meta(), "state"))
		o.stop()
	}
	_, err := o.inspector().Repartition(o.ctx, 4, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(o.layout))
}

// flaky is a client that fails.
type flaky struct {
	rueidis.Client
	before func(script string) error // the call is not made where it answers an error
	after  func(script string) error // the answer is lost where it does
	quiet  bool                      // neither is asked about what changes nothing
}

// changes reports whether a script or command changes something.
func changes(name string) bool {
	return slices.Contains([]string{"stop", "start", "claim", "unlink", "moved", "raise", "XADD", "ZADD"}, name)
}

var errFlaky = errors.New("the connection broke")

func scriptOf(cmd rueidis.Completed) string {
	words := cmd.Commands()
	for _, s := range scan.Scripts() {
		if len(words) > 1 && (words[1] == s.SHA() || words[1] == s.Body()) {
			return s.Name()
		}
	}
	return words[0]
}

func failed(err error) rueidis.RedisResult { return rueidis.NewErrorResult(err) }

func (f *flaky) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	name := scriptOf(cmd)
	if f.before != nil {
		if err := f.before(name); err != nil {
			return failed(err)
		}
	}
	result := f.Client.Do(ctx, cmd)
	if code, _ := lease.Refusal(result.Error()); code == "NOSCRIPT" {
		return result // it did not run
	}
	if f.after != nil {
		if err := f.after(name); err != nil {
			return failed(err)
		}
	}
	return result
}

func (f *flaky) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	if name := scriptOf(multi[0]); f.quiet && !changes(name) {
		return f.Client.DoMulti(ctx, multi...)
	}
	results := make([]rueidis.RedisResult, len(multi))
	for n, cmd := range multi {
		results[n] = f.Do(ctx, cmd)
	}
	return results
}

// flakyAt is a client that fails at the n-th call of those that change something, and from then on: its process is dead. With
// lost set that call is made, and its answer is lost.
func (o *office) flakyAt(n int, lost bool) (client *flaky, calls *int) {
	calls = new(int)
	count := func(script string) error {
		if changes(script) {
			*calls++
		}
		if *calls >= n {
			return errFlaky
		}
		return nil
	}
	if !lost {
		return &flaky{Client: o.Client, before: count, quiet: true}, calls
	}
	dead := func(string) error {
		if *calls >= n {
			return errFlaky
		}
		return nil
	}
	return &flaky{Client: o.Client, before: dead, after: count, quiet: true}, calls
}

// A deletion that is interrupted, wherever, is finished by doing it again; meanwhile nobody starts to work with what is left.
func TestDeletionInterrupted(t *testing.T) {
	o := newOffice(t, 3)
	for n := 1; ; n += 3 {
		require.NoError(t, o.leases.Agree(o.ctx))
		o.furnish(1)
		client, _ := o.flakyAt(n, n%2 == 0)
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
		require.NoError(t, err)
		_, err = i.DeleteService(o.ctx, nil)
		if err == nil {
			require.GreaterOrEqual(t, n, 10)
			break
		}
		require.ErrorIs(t, err, errFlaky)
		if n > 1 && o.Num("EXISTS", o.layout.Meta()) == 1 {
			require.ErrorIs(t, o.leases.Agree(o.ctx), api.ErrServiceStopped)
			_, err = o.inspector().Partitions(o.ctx)
			require.ErrorIs(t, err, api.ErrServiceStopped)
		}
		_, err = o.inspector().DeleteService(o.ctx, nil)
		require.NoError(t, err)
		require.Zero(t, o.Num("DBSIZE"), "after step %d: %q", n, o.keys())
	}
}

func layoutOf(t *testing.T, partitions int) *cluster.Layout {
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	return layout
}

// Up and down, nothing is lost or doubled, counts stay, what is due later stays so, and tokens go on rising.
func TestRepartition(t *testing.T) {
	o := newOffice(t, 1)
	want := o.furnish(12)
	o.Do("SET", o.layout.Keys(0).Token, "9007199254740000")
	for _, n := range []int{4, 16, 3, 3, 1} {
		layout := layoutOf(t, n)
		var last scan.Progress
		moved, err := o.inspector().Repartition(o.ctx, n, func(p scan.Progress) { last = p })
		require.NoError(t, err)
		require.Equal(t, want, o.found(layout))
		require.Equal(t, moved, last.Moved)
		require.Equal(t, n == o.layout.Partitions(), moved == 0, "%d to %d", o.layout.Partitions(), n)
		require.NoError(t, lease.Agree(o.ctx, lease.NewRunner(o.Client, nil), layout))
		for p := range n {
			require.Equal(t, "9007199254740000", o.Text("GET", layout.Keys(p).Token))
		}
		for _, key := range o.keys() {
			for p := n; p < 16; p++ {
				k := layoutOf(t, 16).Keys(p)
				require.False(t, key == k.Input || strings.HasPrefix(key, "{"+k.Input+"}"), "%s is left of %d partitions", key, n)
			}
		}
		require.Equal(t, 2, o.Num("HLEN", layout.Meta()))
		o.layout = layout
	}
}

// A repartitioning that is interrupted, wherever, loses nothing. Doing it again finishes it, and with the old number undoes it.
func TestRepartitionInterrupted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	for _, way := range []struct {
		to, then int
		lost     bool
	}{{5, 5, false}, {2, 2, true}, {2, 3, false}, {5, 3, true}} {
		for n := 1; ; n += 11 {
			o.Do("FLUSHALL")
			o.layout = layoutOf(t, 3)
			require.NoError(t, o.leases.Agree(o.ctx))
			want := o.furnish(1)
			client, _ := o.flakyAt(n, way.lost)
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
			require.NoError(t, err)
			_, err = i.Repartition(o.ctx, way.to, nil)
			if err == nil {
				require.Greater(t, n, 10)
				require.Equal(t, want, o.found(layoutOf(t, way.to)))
				break
			}
			require.ErrorIs(t, err, errFlaky)
			_, err = o.inspector().Repartition(o.ctx, way.then, nil)
			require.NoError(t, err)
			layout := layoutOf(t, way.then)
			found := o.found(layout)
			for stream, times := range want {
				require.GreaterOrEqual(t, found[stream], times, "step %d of %+v: %.40s", n, way, stream)
			}
			require.Len(t, found, len(want))
			require.NoError(t, lease.Agree(o.ctx, lease.NewRunner(o.Client, nil), layout))
		}
	}
}

// A deletion that was begun is given up: what is left is kept.
func TestWhatIsLeftOfADeletionIsKept(t *testing.T) {
	o := newOffice(t, 2)
	want := o.furnish(2)
	client, _ := o.flakyAt(2, false)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.DeleteService(o.ctx, nil)
	require.ErrorIs(t, err, errFlaky)
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(o.layout))
	require.NoError(t, o.leases.Agree(o.ctx))
}

// Somebody announced with a greater number than the service has, so nobody reads it; repartitioning to the number that it
// has brings it home.
func TestLeftoversBeyondTheNumberOfPartitions(t *testing.T) {
	o := newOffice(t, 2)
	stranded := layoutOf(t, 900)
	for n := range 50 {
		s := fmt.Sprintf("stranded-%d", n)
		text, err := lease.EncodeAnnouncement(s, nil)
		require.NoError(t, err)
		o.add(stranded.Keys(stranded.Of(s)).Input, lease.FieldAnnouncement, text)
	}
	left, err := o.inspector().Leftovers(o.ctx)
	require.NoError(t, err)
	require.Greater(t, len(left), 30)
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	require.Len(t, o.found(o.layout), 50)
	left, err = o.inspector().Leftovers(o.ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What cannot be read stays, or goes where somebody reads it.
func TestRepartitionKeepsWhatCannotBeRead(t *testing.T) {
	o := newOffice(t, 3)
	for p := range 3 {
		k := o.layout.Keys(p)
		o.add(k.Input, "lbs-input", "not JSON")
		o.add(k.Input, "_reason", "ours alone")
		o.add(k.Input, "lbs-input", "first", "lbs-input", `{"DataStreamName":"second"}`)
		o.add(k.DeadLetters, "whose", "ever")
		o.Do("ZADD", k.Later, "4000000000000", fmt.Sprintf("no msgpack %d", p))
	}
	_, err := o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	k0, k1 := o.layout.Keys(0), o.layout.Keys(1)
	require.Equal(t, 9, o.Num("XLEN", k0.Input)+o.Num("XLEN", k1.Input))
	require.Equal(t, 3, o.Num("XLEN", k1.Input))
	require.Equal(t, 3, o.Num("XLEN", k0.DeadLetters)+o.Num("XLEN", k1.DeadLetters))
	require.Equal(t, 3, o.Num("ZCARD", k0.Later)+o.Num("ZCARD", k1.Later))
	require.Zero(t, o.Num("EXISTS", o.layout.Keys(2).Input, o.layout.Keys(2).Later, o.layout.Keys(2).DeadLetters))
}

// A dead letter that referred to an entry does so no more where it went: the entry was announced again, under another ID.
func TestRepartitionAnnouncesWhatLettersReferTo(t *testing.T) {
	o := newOffice(t, 1)
	o.refer(lease.FieldAnnouncement, `{"DataStreamName":"large"}`, "weighs", strings.Repeat("much", 5000))
	o.stop()
	o.Do("SET", o.layout.Keys(0).Recover("!1-1"), "1")            // an entry was announced from memory
	o.Do("SET", o.layout.Keys(0).Copied(1, "undertaker.1"), "1 ") // and some were forwarded
	_, err := o.inspector().Repartition(o.ctx, 8, nil)
	require.NoError(t, err)
	layout := layoutOf(t, 8)
	home := layout.Of("large")
	require.NotZero(t, home, "it is to move")
	require.Equal(t, 1, o.Num("XLEN", layout.Keys(home).Input))
	letters := collect(t, o.inspector(), scan.Selection{Stream: "large"})
	require.Len(t, letters, 1)
	require.Equal(t, home, letters[0].Partition)
	require.Empty(t, letters[0].Reference)
}

// Keys of a later version would be lost, or left behind: nothing is begun.
func TestRepartitionRefusesWhatItDoesNotKnow(t *testing.T) {
	o := newOffice(t, 2)
	o.Do("HSET", "{shop-input-1}:checkpoints", "sx", "1")
	_, err := o.inspector().Repartition(o.ctx, 1, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	require.ErrorContains(t, err, "{shop-input-1}:checkpoints")
	require.NoError(t, o.leases.Agree(o.ctx))

	_, err = o.inspector().Repartition(o.ctx, 1025, nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	o.Do("FLUSHALL")
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.ErrorIs(t, err, scan.ErrUnknownService)
	o.Do("HSET", o.layout.Meta(), "format", "99", "partitions", "2")
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	_, err = o.inspector().DeleteService(o.ctx, nil)
	require.ErrorIs(t, err, api.ErrFormat)
}

// Two do it at once: one of them goes on, the other one stops and says so.
func TestTakenOver(t *testing.T) {
	o := newOffice(t, 3)
	want := o.furnish(3)
	once := false
	client := &flaky{Client: o.Client, after: func(script string) error {
		if script == "moved" && !once {
			once = true
			_, err := o.inspector().Repartition(o.ctx, 5, nil)
			require.NoError(t, err)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.Repartition(o.ctx, 5, nil)
	require.ErrorIs(t, err, scan.ErrTakenOver)
	found := o.found(layoutOf(t, 5))
	for stream, times := range want {
		require.Equal(t, times, found[stream], "%.40s", stream)
	}
	require.Len(t, found, len(want))
}

// A producer goes on announcing to a partition that is to go: nothing of it is lost.
func TestAnnouncedWhileItIsRepartitioned(t *testing.T) {
	o := newOffice(t, 3)
	want := o.furnish(2)
	n := 0
	client := &flaky{Client: o.Client, before: func(script string) error {
		if script == "census" && n < 3 {
			n++
			s := fmt.Sprintf("late-%d", n)
			want[s]++
			o.announce(2, s)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(o.ctx, 1, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(layoutOf(t, 1)))
}

// On a cluster partitions and their keys are on several masters.
func TestChangeOfAServiceOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1, NodeTimeout: 5 * time.Second}) // no replicas: each node is asked for its DBSIZE
	client := c.Client(t)
	ctx := context.Background()
	layout := layoutOf(t, 4)
	run := lease.NewRunner(client, nil)
	require.NoError(t, lease.Agree(ctx, run, layout))
	for n := range 200 {
		s := fmt.Sprintf("s-%d", n)
		text, err := lease.EncodeAnnouncement(s, nil)
		require.NoError(t, err)
		k := layout.Keys(layout.Of(s))
		require.NoError(t, client.Do(ctx, client.B().Xadd().Key(k.Input).Id("*").FieldValue().FieldValue(lease.FieldAnnouncement, text).Build()).Error())
		require.NoError(t, client.Do(ctx, client.B().Set().Key(k.Lease(s)).Value("dead.1 1 1-1").Build()).Error())
	}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	for _, n := range []int{16, 3} {
		_, err = i.Repartition(ctx, n, nil)
		require.NoError(t, err)
		s, err := i.Survey(ctx)
		require.NoError(t, err)
		require.Equal(t, n, s.Partitions)
		require.Equal(t, 200, s.Total().Announcements)
		require.LessOrEqual(t, len(s.Contents), n)
	}
	s, err := i.Survey(ctx)
	require.NoError(t, err)
	require.Positive(t, s.Total().Leases+1)
	_, err = i.DeleteService(ctx, nil)
	require.NoError(t, err)
	s, err = i.Survey(ctx)
	require.NoError(t, err)
	require.Empty(t, s.Contents)
	require.Zero(t, s.Partitions)
	for addr, node := range client.Nodes() {
		size, err := node.Do(ctx, node.B().Dbsize().Build()).AsInt64()
		require.NoError(t, err)
		require.Zero(t, size, addr)
	}
}
