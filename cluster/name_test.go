package cluster_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

var validators = map[string]func(string) error{
	"service":     cluster.ValidateService,
	"consumer id": cluster.ValidateConsumerID,
}

// Every possible byte is checked.
func TestNameCharacters(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:"
	for field, validate := range validators {
		for b := range 256 {
			c := string([]byte{byte(b)})
			err := validate("a" + c + "z")
			if strings.Contains(allowed, c) {
				require.NoError(t, err, "%q", c)
				require.NoError(t, validate(c))
				continue
			}
			require.ErrorIs(t, err, api.ErrInvalidConfig, "%q", c)
			require.ErrorContains(t, err, field+": ")
			require.ErrorContains(t, err, "at byte 1")
		}
		require.ErrorIs(t, validate("größe"), api.ErrInvalidConfig)
	}
}

func TestNameLength(t *testing.T) {
	for field, validate := range validators {
		require.NoError(t, validate(strings.Repeat("x", 200)))
		for _, name := range []string{"", strings.Repeat("x", 201)} {
			err := validate(name)
			require.ErrorIs(t, err, api.ErrInvalidConfig)
			require.ErrorContains(t, err, field+": ")
			require.ErrorContains(t, err, "200")
		}
	}
}

// Consumers with such names belong to another library that shares the group.
func TestForeignConsumerIDIsRefused(t *testing.T) {
	for _, id := range []string{"redis-consumer-", "redis-consumer-7"} {
		err := cluster.ValidateConsumerID(id)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, id)
		require.NoError(t, cluster.ValidateService(id))
	}
	for _, id := range []string{"redis-consumer", "my-redis-consumer-7"} {
		require.NoError(t, cluster.ValidateConsumerID(id))
	}
}

func TestStreamNames(t *testing.T) {
	for _, name := range []string{"x", "{user7}:clicks", "\x00\xff", "Größe", strings.Repeat("x", cluster.MaxStreamName)} {
		require.NoError(t, cluster.ValidateStream(name))
	}
	for _, name := range []string{"", strings.Repeat("x", cluster.MaxStreamName+1)} {
		err := cluster.ValidateStream(name)
		require.ErrorIs(t, err, api.ErrInvalidStream)
		require.Less(t, len(err.Error()), 200, "a long name is not repeated in full")
	}
}
