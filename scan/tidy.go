package scan

import (
	"context"
	"strconv"

	"github.com/streamlease/streamlease/lease"
)

const (
	// tidyPage is how many checkpoints one script looks at: some 100 µs of the server's time, a millisecond with the longest ones.
	tidyPage = 100
	// tidyPages is how many such scripts one turn runs. At the default interval, 100,000 checkpoints take one process half an hour.
	tidyPages = 20
)

// Tidy goes through some of the checkpoints of a partition, page by page, and continues there at the next call. It deletes those of
// streams that were done, or whose dead letter was dropped, longer than CheckpointTTL ago, and what sessions that are gone
// left there. It returns how many checkpoints it has deleted. Nothing is deleted while the partition settles, nor while me has no
// session. Whoever has the turn to scan a partition calls it, after Dead has given sessions to consumers without one.
func (s *Store) Tidy(ctx context.Context, p int, me string) (deleted int, err error) {
	keep := "0"
	if s.set.CheckpointTTL != NoLimit {
		keep = ms(s.set.CheckpointTTL)
	}
	k := s.layout.Keys(p)
	for range tidyPages {
		next, n, err := s.tidyPage(ctx, lease.Call{
			Script: scriptTidy,
			Keys:   []string{k.Sessions, k.Checkpoints},
			Args:   []string{me, s.mode, ms(s.set.Gap), s.cursors.get(p), strconv.Itoa(tidyPage), keep},
		})
		deleted += n
		if err != nil || next == "" {
			return deleted, err
		}
		if s.cursors.set(p, next); next == "0" {
			break
		}
	}
	return deleted, nil
}

// tidyPage runs the script for one page. next is empty when nothing may be deleted now.
func (s *Store) tidyPage(ctx context.Context, c lease.Call) (next string, deleted int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	parts, err := s.run.Do(ctx, c).ToArray()
	if err != nil || len(parts) == 1 {
		return "", 0, err
	}
	if len(parts) != 3 {
		return "", 0, errMalformed
	}
	if next, err = parts[0].ToString(); err != nil {
		return "", 0, err
	}
	n, err := parts[1].AsInt64()
	return next, int(n), err
}
