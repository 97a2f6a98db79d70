package lease

import (
	"context"

	"github.com/redis/rueidis"
)

// CheckpointsAllowed returns nil if the checkpoints of a partition can be read and stored, and otherwise why Redis refuses that: a
// missing right, or a key of another type. It changes nothing.
func (s *Store) CheckpointsAllowed(ctx context.Context, p int) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	hash := s.layout.Keys(p).Checkpoints
	b := s.client.B()
	nothing := "-" // no field has this name
	for i, result := range s.client.DoMulti(ctx,
		b.Hdel().Key(hash).Field(nothing).Build(),
		b.Arbitrary("HMGET").Keys(hash).Args(nothing).Build(), // not marked as one that replicas may answer
		b.Arbitrary("HSCAN").Keys(hash).Args("0", "COUNT", "1").Build(),
		// Refused for its arguments, once the right was checked.
		b.Arbitrary("HSET").Keys(hash).Args(nothing, nothing, nothing).Build(),
	) {
		err := result.Error()
		if code, refused := Refusal(err); i == 3 && refused && code == "wrong" {
			continue
		}
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	return nil
}
