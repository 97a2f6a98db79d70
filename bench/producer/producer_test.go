package producer

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

func TestProducerAnnouncesAndFillsEachStreamOnce(t *testing.T) {
	client := servers.New(t).Client(t)
	ctx := context.Background()
	p := Producer{Client: client, Service: "svc", Prefix: "user-"}
	const n = 2*chunk + 7 // more than one pipeline, and some more
	_, err := p.Announce(ctx, 10, 10+n)
	require.NoError(t, err)
	entries, err := client.Do(ctx, client.B().Xrange().Key("svc-input").Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, n)
	require.Equal(t, map[string]string{"lbs-input": `{"DataStreamName":"user-10","Info":{"k":"v"}}`}, entries[0].FieldValues)
	require.Contains(t, entries[n-1].FieldValues["lbs-input"], `"`+p.Stream(10+n-1)+`"`)

	p.Info = func(i int) string { return strconv.Itoa(i) }
	_, err = p.Announce(ctx, 5, 6)
	require.NoError(t, err)
	last, err := client.Do(ctx, client.B().Xrevrange().Key("svc-input").End("+").Start("-").Count(1).Build()).AsXRange()
	require.NoError(t, err)
	require.Equal(t, `{"DataStreamName":"user-5","Info":5}`, last[0].FieldValues["lbs-input"])

	require.NoError(t, p.AnnounceEach(ctx, []int{7, 2, 7}))
	entries, err = client.Do(ctx, client.B().Xrevrange().Key("svc-input").End("+").Start("-").Count(3).Build()).AsXRange()
	require.NoError(t, err)
	for i, want := range []int{7, 2, 7} { // the last one comes first
		require.Equal(t, fmt.Sprintf(`{"DataStreamName":"user-%d","Info":%d}`, want, want), entries[i].FieldValues["lbs-input"])
	}

	_, err = p.Fill(ctx, 300, 0, 3)
	require.NoError(t, err)
	for _, i := range []int{0, 299} {
		length, err := client.Do(ctx, client.B().Xlen().Key(p.Stream(i)).Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 3, length)
	}
}

func TestProducerReportsWhatTheServerRefuses(t *testing.T) {
	client := servers.New(t).Client(t)
	ctx := context.Background()
	require.NoError(t, client.Do(ctx, client.B().Set().Key("svc-input").Value("x").Build()).Error())
	_, err := Producer{Client: client, Service: "svc"}.Announce(ctx, 0, 1)
	require.ErrorContains(t, err, "WRONGTYPE")
}
