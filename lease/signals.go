package lease

import (
	"context"
	"errors"
	"strconv"
)

// Signals reads the signals after a position, count at most and MaxSignalPage at most.
func (s *Store) Signals(ctx context.Context, p int, position string, count int) (page SignalPage, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	anchored := "0"
	if isSignalID(position) {
		anchored = "1"
	}
	parts, err := s.rest.Do(ctx, Call{
		Script: scriptSignals, Keys: []string{s.layout.Keys(p).Signals},
		Args: []string{position, anchored, strconv.Itoa(min(count, MaxSignalPage)), strconv.Itoa(maxSignalBytes), strconv.Itoa(heaviestSignal)},
	}).ToArray()
	if err != nil || len(parts) < 2 {
		return page, orMalformed("signals", err)
	}
	gone, err1 := parts[0].AsInt64()
	more, err2 := parts[1].AsInt64()
	if err := errors.Join(err1, err2); err != nil {
		return page, orMalformed("signals", err)
	}
	page.Gone, page.More = gone == 1, more == 1
	for _, part := range parts[2:] {
		row, err := part.ToArray()
		if err != nil || len(row) != 2 {
			return page, orMalformed("signals", err)
		}
		id, err := row[0].ToString()
		if err != nil {
			return page, orMalformed("signals", err)
		}
		fields, err := row[1].AsStrSlice()
		if err != nil {
			return page, orMalformed("signals", err)
		}
		page.Signals = append(page.Signals, parseSignal(id, fields))
	}
	return page, nil
}
