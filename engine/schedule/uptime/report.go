package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redis/rueidis"
)

const (
	// reportBatch is how many reports are read, and written to SQLite, at once.
	reportBatch = 1000
	// maxReports is how many Redis keeps, some 250 bytes each, for a recorder that is away.
	maxReports = "1000000"
	field      = "report"
)

// Report is what one check found. The monitor and the time of the tick identify it: a check that is repeated has the same.
type Report struct {
	Monitor string        `json:"monitor"`
	At      time.Time     `json:"at"`
	Late    time.Duration `json:"late"`   // after At the check began
	Missed  int           `json:"missed"` // checks before it that were not made
	Owner   string        `json:"owner"`  // process that checked
	State   State         `json:"state"`  // after the check
}

// failed reports whether the check failed.
func (r *Report) failed() bool { return r.State.Error != "" }

// reports is the stream in Redis through which reports go from all processes to those which record and show them.
type reports struct {
	client rueidis.Client
	key    string
}

// add appends reports. After an error some may be there, and may be added again.
func (s *reports) add(ctx context.Context, all []Report) error {
	commands := make(rueidis.Commands, 0, len(all))
	for i := range all {
		text, err := json.Marshal(&all[i])
		if err != nil {
			return err
		}
		commands = append(commands, s.client.B().Xadd().Key(s.key).Maxlen().Almost().Threshold(maxReports).Id("*").
			FieldValue().FieldValue(field, rueidis.BinaryString(text)).Build())
	}
	for _, answer := range s.client.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			return err
		}
	}
	return nil
}

// read returns the next reports after a position, and the new position. What cannot be read is left out.
func (s *reports) read(ctx context.Context, position string) ([]Report, string, error) {
	entries, err := s.client.Do(ctx, s.client.B().Xrange().Key(s.key).Start("("+position).End("+").Count(reportBatch).Build()).AsXRange()
	batch := make([]Report, 0, len(entries))
	for _, e := range entries {
		var r Report
		if json.Unmarshal([]byte(e.FieldValues[field]), &r) == nil {
			batch = append(batch, r)
		}
		position = e.ID
	}
	return batch, position, err
}
