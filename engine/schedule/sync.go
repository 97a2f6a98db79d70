package schedule

import (
	"context"
	"errors"
	"iter"
)

// SyncOption is an option of [Table.Sync].
type SyncOption interface{ configureSync(*syncConfig) }

type syncConfig struct{ prune bool }

type syncOption func(*syncConfig)

func (o syncOption) configureSync(c *syncConfig) { o(c) }

// Prune has Sync delete all schedules of the service that are not among the specs.
func Prune() SyncOption { return syncOption(func(c *syncConfig) { c.prune = true }) }

// Synced is what Sync did: how many schedules were Created, Edited and Deleted, and how many were there already and Unchanged.
type Synced struct{ Created, Edited, Unchanged, Deleted int }

// Sync puts a whole set of schedules, as [Table.Put] does, some thousand at a time. If a name repeats, the last spec counts.
//
// With [Prune] it then deletes what is not in the set, also what somebody else has put meanwhile: so one process should do it, with the
// whole set. Nothing is deleted after an error that left some of the set unsent, and none of a name whose spec was refused. A set
// without any spec is refused, since that is a mistake rather than a wish: use Delete.
//
// err is as with Put; what was done all the same is in Synced.
func (t *Table) Sync(ctx context.Context, specs iter.Seq[Spec], opts ...SyncOption) (done Synced, err error) {
	var cfg syncConfig
	for i, o := range opts {
		if o == nil {
			return done, invalid("option %d of %d of Sync is nil; leave it out", i+1, len(opts))
		}
		o.configureSync(&cfg)
	}
	if err := t.publisher.Agree(ctx); err != nil {
		return done, err
	}
	s := syncing{table: t, done: &done}
	if cfg.prune {
		s.names = make(map[string]struct{})
	}
	for spec := range specs {
		if s.add(ctx, spec); s.stopped {
			break
		}
	}
	s.flush(ctx)
	switch {
	case s.stopped:
		s.failed.last = errors.New("schedule: the rest of the specs was not put, and nothing was deleted; call Sync again")
	case cfg.prune && len(s.names) == 0:
		s.failed.last = invalid("Prune without any spec would delete all schedules; use Delete for that")
	case cfg.prune:
		s.failed.last = t.prune(ctx, s.names, &done.Deleted)
	}
	return done, t.withRights(ctx, s.failed.err())
}

// syncing is a call of Sync.
type syncing struct {
	table   *Table
	done    *Synced
	names   map[string]struct{} // nil: they are not needed
	chunk   []Spec
	at      map[string]int // of names in the chunk
	failed  errorList
	stopped bool
}

func (s *syncing) add(ctx context.Context, spec Spec) {
	if s.names != nil {
		s.names[spec.Name] = struct{}{}
	}
	if i, ok := s.at[spec.Name]; ok {
		s.chunk[i] = spec
		return
	}
	if s.at == nil {
		s.at = make(map[string]int, putChunk)
	}
	s.at[spec.Name] = len(s.chunk)
	if s.chunk = append(s.chunk, spec); len(s.chunk) == putChunk {
		s.flush(ctx)
	}
}

func (s *syncing) flush(ctx context.Context) {
	if len(s.chunk) == 0 || s.stopped {
		return
	}
	results := make([]Result, len(s.chunk))
	for i := range s.chunk {
		results[i].Name = s.chunk[i].Name
	}
	goOn := s.table.putSome(ctx, s.chunk, results, nil)
	for i := range results {
		switch results[i].Outcome {
		case Created:
			s.done.Created++
		case Edited:
			s.done.Edited++
		case Unchanged:
			s.done.Unchanged++
		default:
			s.failed.add(results[i].Err)
		}
	}
	s.stopped = !goOn || ctx.Err() != nil
	s.chunk = s.chunk[:0]
	clear(s.at)
}

// prune deletes the schedules that are not among names.
func (t *Table) prune(ctx context.Context, names map[string]struct{}, deleted *int) error {
	for p := range t.layout.Partitions() {
		for cursor := "0"; ; {
			page, err := t.store.page(ctx, p, cursor, callItems)
			if err != nil {
				return explained("reading the schedules, to delete those that are not in the set", err)
			}
			var extra []string
			for _, name := range page.names {
				if _, wanted := names[name]; !wanted {
					extra = append(extra, name)
				}
			}
			n, err := t.remove(ctx, extra)
			*deleted += n
			if err != nil {
				return err
			}
			if cursor = page.next; cursor == "0" {
				break
			}
		}
	}
	return nil
}
