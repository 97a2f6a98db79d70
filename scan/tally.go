package scan

import (
	"context"
	"strconv"

	"github.com/streamlease/streamlease/lease"
)

// Tally computes the sums over the consumers of a partition again, from what each has on record, and removes what consumers without a
// live session have left there. It does nothing while the partition settles, nor while me has no session, nor where no consumer takes
// part in the balance. Whoever has the turn to scan a partition calls it. An error says that the sums may stay wrong for longer, which
// makes shares less even and loses nothing.
func (s *Store) Tally(ctx context.Context, p int, me string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	parts, err := s.run.Do(ctx, lease.Call{
		Script: scriptTally,
		Keys:   fleetKeys(k),
		Args:   []string{me, s.mode, ms(s.set.Gap), strconv.Itoa(maxFleet)},
	}).ToArray()
	if err == nil && textOf(parts, 0) == "many" {
		err = tooLarge(k.Fleet, textOf(parts, 1), maxFleet)
	}
	return err
}
