package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// partitionKeys returns all keys of a partition, some for streams and consumers
// whose names contain hash tags of their own.
func partitionKeys(k *cluster.Keys) []string {
	keys := []string{k.Input, k.Sessions, k.Later, k.Token, k.Scan, k.DeadLetters, k.Checkpoints, k.Signals, k.Books, k.Load, k.Fleet}
	for _, name := range []string{"orders", "{user7}:orders", "}{", "{}", "{other}", "}", "{", "\x00{\xff}", ""} {
		keys = append(keys, k.Lease(name), k.Recover(name))
	}
	return keys
}

// Programs in other languages, and people with redis-cli, rely on these.
func TestLayoutNames(t *testing.T) {
	l, err := cluster.NewLayout("orders", 12)
	require.NoError(t, err)
	require.Equal(t, "orders", l.Service())
	require.Equal(t, 12, l.Partitions())
	require.Equal(t, "orders-group", l.Group())
	require.Equal(t, "{orders-input}:meta", l.Meta())

	for p, input := range map[int]string{0: "orders-input", 1: "orders-input-1", 11: "orders-input-11"} {
		k := l.Keys(p)
		require.Same(t, k, l.Keys(p))
		require.Equal(t, p, k.Partition)
		require.Equal(t, cluster.Slot(input), k.Slot)
		require.Equal(t, input, k.Input)
		require.Equal(t, "{"+input+"}:sessions", k.Sessions)
		require.Equal(t, "{"+input+"}:later", k.Later)
		require.Equal(t, "{"+input+"}:token", k.Token)
		require.Equal(t, "{"+input+"}:scan", k.Scan)
		require.Equal(t, "{"+input+"}-dlq", k.DeadLetters)
		require.Equal(t, "{"+input+"}:checkpoints", k.Checkpoints)
		require.Equal(t, "{"+input+"}:schedules", k.Schedules)
		require.True(t, l.Owns(k.Schedules))
		require.Equal(t, k.Slot, cluster.Slot(k.Schedules))
		require.Equal(t, "{"+input+"}:signals", k.Signals)
		require.Equal(t, "{"+input+"}:books", k.Books)
		require.Equal(t, "{"+input+"}:load", k.Load)
		require.Equal(t, "{"+input+"}:fleet", k.Fleet)
		require.Equal(t, "{"+input+"}:lease:", k.LeasePrefix())
		require.Equal(t, "{"+input+"}:lease:{user7}:clicks", k.Lease("{user7}:clicks"))
		require.Equal(t, "{"+input+"}:recover:pod-1.k3f9", k.Recover("pod-1.k3f9"))
		require.Equal(t, "{"+input+"}:crashed:pod-1", k.Crashed("pod-1"))
	}
	require.Panics(t, func() { l.Keys(12) })
	require.Panics(t, func() { l.Keys(-1) })
}

func TestLayoutOfIsPartition(t *testing.T) {
	l, err := cluster.NewLayout("orders", 12)
	require.NoError(t, err)
	for i := range 100 {
		stream := fmt.Sprintf("{user%d}:clicks", i)
		require.Equal(t, cluster.Partition(stream, 12), l.Of(stream))
	}
}

func TestNumberOfPartitions(t *testing.T) {
	for _, partitions := range []int{cluster.DefaultPartitions, cluster.MaxPartitions} {
		_, err := cluster.NewLayout("orders", partitions)
		require.NoError(t, err)
	}
	for _, partitions := range []int{-1, 0, cluster.MaxPartitions + 1} {
		l, err := cluster.NewLayout("orders", partitions)
		require.Nil(t, l)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, fmt.Sprintf("partitions: %d ", partitions))
	}
	_, err := cluster.NewLayout("or{d}ers", 1)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

func TestKeysOfAPartitionShareItsSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		service := rapid.StringMatching(`[A-Za-z0-9._:-]{1,40}`).Draw(t, "service")
		partitions := rapid.IntRange(1, 20).Draw(t, "partitions")
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[{}a]{0,8}`)).Draw(t, "name")
		l, err := cluster.NewLayout(service, partitions)
		if err != nil {
			t.Fatal(err)
		}
		for p := range partitions {
			k := l.Keys(p)
			for _, key := range append(partitionKeys(k), k.Lease(name), k.Recover(name)) {
				if cluster.Slot(key) != k.Slot {
					t.Fatalf("%q is in slot %d, partition %d in %d", key, cluster.Slot(key), p, k.Slot)
				}
			}
		}
		if cluster.Slot(l.Meta()) != l.Keys(0).Slot {
			t.Fatalf("%q is not in the slot of partition 0", l.Meta())
		}
	})
}

// Service "a" has a partition called "a-input-1", and a service may be called
// just that. Names built from such pieces are the ones that could collide.
func TestServicesShareNoKey(t *testing.T) {
	services := []string{"-", "1", "input"}
	for _, base := range []string{"a", "a-input", "a-group", "a-1"} {
		for _, end := range []string{"", "-", "-1", "-01", "-11", "-input", "-input-", "-input-1", "-input-11", "-input-1-input", "-dlq", ":meta"} {
			services = append(services, base+end)
		}
	}
	owner := map[string]string{}
	seen := map[string]bool{}
	for _, service := range services {
		if seen[service] {
			continue
		}
		seen[service] = true
		l, err := cluster.NewLayout(service, 20)
		require.NoError(t, err)
		keys := []string{l.Meta()}
		for p := range l.Partitions() {
			keys = append(keys, partitionKeys(l.Keys(p))...)
		}
		for _, key := range keys {
			if other, taken := owner[key]; taken {
				t.Fatalf("%q is a key of service %q and of %q", key, other, service)
			}
			owner[key] = service
		}
	}
}

// The same with random names.
func TestInputStreamNamesTheServiceAndPartition(t *testing.T) {
	owner := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		service := rapid.StringMatching(`a?(-input|-|1|0|:){0,5}a?`).
			Filter(func(s string) bool { return s != "" }).Draw(t, "service")
		l, err := cluster.NewLayout(service, 12)
		if err != nil {
			t.Fatal(err)
		}
		for p := range l.Partitions() {
			me := fmt.Sprintf("%s, partition %d", service, p)
			input := l.Keys(p).Input
			if other, taken := owner[input]; taken && other != me {
				t.Fatalf("%q is that of %s and of %s", input, other, me)
			}
			owner[input] = me
		}
	})
}

func TestOwnsIsTheKeysOfTheService(t *testing.T) {
	l, err := cluster.NewLayout("svc", 4)
	require.NoError(t, err)
	for p := range l.Partitions() {
		for _, key := range partitionKeys(l.Keys(p)) {
			require.True(t, l.Owns(key), key)
		}
	}
	for _, name := range []string{
		l.Meta(), "svc-input-9", "svc-input-1023", "svc-input-dlq", "svc-input-3-dlq", "{svc-input}", "{svc-input-9}:x", "{svc-input}-x",
	} {
		require.True(t, l.Owns(name), name)
	}
	for _, name := range []string{
		"svc", "svc-group", "svc-inputs", "svc-input-x", "svc-input-", "svc-input-1x", "svc-input-1-2", "svc-input-1-input", "svc-input:1",
		"{svc}-input", "{svc-input", "{svc-inputs}:sessions", "{svc-input-}:x", "other-input", "{other-input}:meta", "asvc-input", "", "{",
	} {
		require.False(t, l.Owns(name), name)
	}
}
