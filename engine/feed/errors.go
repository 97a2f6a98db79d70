package feed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// readError explains an error that reading does not retry. A key of another type never becomes a stream; rights may be granted.
func readError(stream string, err error) error {
	explained := fmt.Errorf("feed: reading %q: %w", stream, err)
	if isWrongType(err) {
		return api.Permanent(explained)
	}
	return explained
}

func errOrder(last, id position.ID) error { return fmt.Errorf("message %s after %s", id, last) }

// hasEnded reports whether an error of a lease's method says that the lease has ended.
func hasEnded(err error) bool {
	return errors.Is(err, api.ErrLeaseLost) || errors.Is(err, api.ErrNotHeld)
}

// isWrongType reports whether a key is of another type, which no retry changes.
func isWrongType(err error) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), "WRONGTYPE")
}
