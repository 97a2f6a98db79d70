package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/stretchr/testify/require"
)

// newJournal makes the journal of one pod.
func newJournal(t *testing.T, party string, pages int) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal"), party, "s-", pages)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func name(number int) string { return fmt.Sprint("s-", number) }

// own has a pod own a stream under a token, for its first announcement, and end the ownership as how says.
func own(t *testing.T, j *journal.Journal, number int, token api.Token, how journal.State) {
	t.Helper()
	ownFor(t, j, number, 1, token, how)
}

// ownFor is own for any announcement of the stream.
func ownFor(t *testing.T, j *journal.Journal, number, work int, token api.Token, how journal.State) {
	t.Helper()
	l := leasetest.New(name(number), leasetest.WithToken(token))
	page := j.AddWork(l, work)
	require.NotNil(t, page)
	page.Is(how)
	require.NoError(t, l.Done(context.Background()))
}

// audited adds the journals of a round without dead letters and excuses to an audit.
func audited(a *audit, journals []*journal.Journal, announced map[int]int) error {
	_, err := a.add(journals, facts{announced: announced, stream: name})
	return err
}

// sixEntries makes the store of a service with six announcements by hand, and returns their IDs: the first two are held by pod a, the
// third is held by pod b, the fourth was read by a, and the last two are waiting.
func sixEntries(t *testing.T) (*store, []string) {
	t.Helper()
	client := servers.New(t).Client(t)
	layout, err := cluster.NewLayout("svc", 1)
	require.NoError(t, err)
	k := &store{client: client, layout: layout, producer: producer.Producer{Client: client, Service: "svc", Prefix: "s-"},
		streams: 6, text: announcementText("s-")}
	keys := layout.Keys(0)
	var ids []string
	for i := range 6 {
		id, err := command(k, "XADD", keys.Input, "*", "trace", "x", "lbs-input", `{"DataStreamName":"s-`+strconv.Itoa(i)+`","Info":{"Work":7,"Fill":"x"}}`).ToString()
		require.NoError(t, err)
		ids = append(ids, id)
	}
	require.NoError(t, command(k, "XGROUP", keys.Input, "CREATE", "svc-group", "0").Error())
	for i, consumer := range []string{"a.1", "a.1", "b.1", "a.1"} {
		require.NoError(t, client.Do(context.Background(), client.B().Xreadgroup().Group("svc-group", consumer).Count(1).Streams().Key(keys.Input).Id(">").Build()).Error())
		require.NoError(t, command(k, "ZADD", keys.Sessions, strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10), consumer).Error())
		if i < 3 {
			require.NoError(t, command(k, "SET", keys.Lease("s-"+strconv.Itoa(i)), consumer+" 4"+strconv.Itoa(i)+" "+ids[i]).Error())
		}
	}
	return k, ids
}

// command runs a command. The key comes first, also where the command has a subcommand.
func command(k *store, name, key string, args ...string) rueidis.RedisResult {
	c := k.client.B().Arbitrary(name)
	if name == "XGROUP" {
		return k.client.Do(context.Background(), c.Args(args[0]).Keys(key).Args(args[1:]...).Build())
	}
	return k.client.Do(context.Background(), c.Keys(key).Args(args...).Build())
}

// acted has an operator repeat an act until that affected an entry.
func acted(t *testing.T, k *store, what string, seed uint64) *operator {
	t.Helper()
	o := newOperator(k, nil, []string{what}, time.Second, rand.New(rand.NewPCG(seed, 0)))
	for o.struck[what] == 0 {
		require.NoError(t, o.one(context.Background()))
	}
	return o
}
