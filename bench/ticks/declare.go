package ticks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
)

// Declared is what it takes to declare schedules with Table.Sync, as each deploy does.
type Declared struct {
	Schedules int
	New       time.Duration   // where none is there
	Same      []time.Duration // where all are there as they are declared
	Scripts   float64         // of one of the latter
	Commands  float64         // of one of the latter, those of scripts included
	Redis     time.Duration   // processor time of the server for one of the latter
	Writes    int64           // of all of the latter
}

// declareRounds is how often unchanged schedules are declared.
const declareRounds = 9

// declare declares schedules that no process owns, so that nobody else writes.
func (b *bench) declare(ctx context.Context) (err error) {
	s, err := stage(ctx, b.o.URL, ticker.Options{Model: ticker.Owned, Schedules: b.o.Declared}, b.report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	d := &Declared{Schedules: b.o.Declared}
	began := time.Now()
	if err := s.put(ctx, time.Minute); err != nil {
		return err
	}
	d.New = time.Since(began)
	writes, err := s.writes(ctx)
	if err != nil {
		return err
	}
	before, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return err
	}
	for range declareRounds {
		began := time.Now()
		synced, err := s.table.Sync(ctx, s.specs(time.Minute))
		if err != nil {
			return err
		}
		d.Same = append(d.Same, time.Since(began))
		if synced.Unchanged != d.Schedules {
			return fmt.Errorf("%d of %d schedules are unchanged", synced.Unchanged, d.Schedules)
		}
	}
	after, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return err
	}
	used := after.Since(before)
	d.Scripts, d.Commands = float64(used.Calls.Scripts())/declareRounds, float64(used.Processed)/declareRounds
	d.Redis = used.CPU / declareRounds
	if d.Writes, err = s.writes(ctx); err != nil {
		return err
	}
	d.Writes -= writes
	b.result.Declared = d
	b.steps.Done()
	return nil
}

// writes is how many keys, fields and the like were written since the last time that the servers saved them.
func (s *scene) writes(ctx context.Context) (n int64, err error) {
	for addr, node := range s.target.Client.Nodes() {
		text, err := node.Do(ctx, node.B().Info().Section("persistence").Build()).ToString()
		if err != nil {
			return 0, fmt.Errorf("asking %s for its writes: %w", addr, err)
		}
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "rdb_changes_since_last_save:"); ok {
				k, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return 0, err
				}
				n += k
			}
		}
	}
	return n, nil
}
