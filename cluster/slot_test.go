package cluster_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

func TestCRC16(t *testing.T) {
	// The check value of CRC-16/XMODEM, and the example of the Redis Cluster
	// specification's appendix A.
	require.Equal(t, uint16(0x31C3), cluster.CRC16("123456789"))
	require.Equal(t, uint16(0), cluster.CRC16(""))
	require.Equal(t, uint16(0x1021), cluster.CRC16("\x01"))
	require.Equal(t, uint16(0), cluster.CRC16("\x00\x00"))
}

func TestHashTag(t *testing.T) {
	for key, want := range map[string]string{
		"":                      "",
		"plain":                 "plain",
		"{user1000}.following":  "user1000",
		"foo{}{bar}":            "foo{}{bar}", // the first pair is empty: the whole key
		"foo{{bar}}zap":         "{bar",
		"foo{bar}{zap}":         "bar",
		"}foo{bar}":             "bar",
		"foo}bar":               "foo}bar",
		"foo{bar":               "foo{bar",
		"foo}{bar":              "foo}{bar",
		"{}":                    "{}",
		"{}}":                   "{}}",
		"{\x00}":                "\x00",
		"{a-input}:lease:{b}:c": "a-input",
	} {
		require.Equal(t, want, cluster.HashTag(key), "%q", key)
	}
}

// Braces are frequent enough for each case of the rule to occur.
func randomKey(r *rand.Rand) string {
	alphabets := []string{"{}", "{}ab", "abcdefghijklmnopqrstuvwxyz0123456789:-_.{}", ""}
	alphabet := alphabets[r.IntN(len(alphabets))]
	key := make([]byte, r.IntN(40))
	for i := range key {
		if alphabet == "" {
			key[i] = byte(r.Uint32())
		} else {
			key[i] = alphabet[r.IntN(len(alphabet))]
		}
	}
	return string(key)
}

// The server's own answer is authoritative.
func TestSlotIsWhatAServerAnswers(t *testing.T) {
	const keys, batch = 20_000, 1000
	client := clusterServer(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range keys / batch {
		names := make([]string, batch)
		for i := range names {
			names[i] = randomKey(r)
		}
		requireServerAgrees(t, client, names)
	}
}

// Every key of a partition, with names that try to move it elsewhere.
func TestServerPutsThePartitionIntoOneSlot(t *testing.T) {
	client := clusterServer(t)
	layout, err := cluster.NewLayout("orders:eu-1", 16)
	require.NoError(t, err)
	for p := range layout.Partitions() {
		names := partitionKeys(layout.Keys(p))
		for _, name := range names {
			require.Equal(t, layout.Keys(p).Slot, cluster.Slot(name), "%q", name)
		}
		requireServerAgrees(t, client, names)
	}
}

// clusterServer returns a client of a server in cluster mode. The server has no
// slots of its own, so the client is one for a single server.
func clusterServer(t *testing.T) rueidis.Client {
	t.Helper()
	s := servers.New(t, servers.Args("--cluster-enabled", "yes"))
	opt := s.ClientOption()
	opt.ForceSingleClient = true
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func requireServerAgrees(t *testing.T, client rueidis.Client, names []string) {
	t.Helper()
	commands := make(rueidis.Commands, len(names))
	for i, name := range names {
		commands[i] = client.B().ClusterKeyslot().Key(name).Build()
	}
	for i, answer := range client.DoMulti(t.Context(), commands...) {
		slot, err := answer.AsInt64()
		require.NoError(t, err)
		require.Equal(t, slot, int64(cluster.Slot(names[i])), "%q", names[i])
	}
}

// naiveHashTag applies the rule byte by byte, as the specification words it.
func naiveHashTag(key string) string {
	open := bytes.IndexByte([]byte(key), '{')
	if open < 0 {
		return key
	}
	for i := open + 1; i < len(key); i++ {
		if key[i] == '}' {
			if i == open+1 {
				return key
			}
			return key[open+1 : i]
		}
	}
	return key
}

// naiveCRC16 is long division, bit by bit: remainder of the message times x^16.
func naiveCRC16(s string) uint16 {
	var rest uint32
	for _, b := range append([]byte(s), 0, 0) {
		for bit := 7; bit >= 0; bit-- {
			rest = rest<<1 | uint32(b>>bit&1)
			if rest&0x10000 != 0 {
				rest ^= 0x11021
			}
		}
	}
	return uint16(rest)
}

func FuzzSlot(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		f.Add(randomKey(r))
	}
	f.Fuzz(func(t *testing.T, key string) {
		require.Equal(t, naiveHashTag(key), cluster.HashTag(key))
		require.Equal(t, naiveCRC16(key), cluster.CRC16(key))
		require.Equal(t, naiveCRC16(naiveHashTag(key))%16384, cluster.Slot(key))

		layout, err := cluster.NewLayout("orders", 3)
		require.NoError(t, err)
		keys := layout.Keys(layout.Of(key))
		require.Equal(t, keys.Slot, cluster.Slot(keys.Lease(key)))
		require.Equal(t, keys.Slot, cluster.Slot(keys.Recover(key)))
	})
}

func BenchmarkSlot(b *testing.B) {
	for _, length := range []int{16, 256} {
		key := strings.Repeat("k", length)
		b.Run(fmt.Sprintf("bytes=%d", length), func(b *testing.B) {
			for b.Loop() {
				cluster.Slot(key)
			}
		})
	}
}
