package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// partitionRow is a partition in the table.
type partitionRow struct {
	scan.Backlog
	Slot    uint16
	Alive   int       // consumers with a live session
	Dead    int       // consumers whose session has ended
	Settles time.Time // until when, if it does
}

var partitionsLive = following{template: "partitions", parts: []string{"unread", "partitions"}, data: partitionsData}

func partitionsPage(*site, *http.Request) (*view, error) {
	return &view{template: "partitions", title: "Partitions", here: "partitions", follow: link("live", "view", "partitions"), live: &partitionsLive}, nil
}

// partitionsData is the table of partitions.
func partitionsData(s *site, _ url.Values, found *sample) any {
	rows := make([]partitionRow, len(found.Backlog))
	at := make(map[int]*partitionRow)
	for n, b := range found.Backlog {
		rows[n].Backlog = b
		at[b.Partition] = &rows[n]
		if layout, err := cluster.NewLayout(s.service, b.Partition+1); err == nil {
			rows[n].Slot = layout.Keys(b.Partition).Slot
		}
		if until := found.Settling[b.Partition]; until.After(found.now()) {
			rows[n].Settles = until
		}
	}
	for _, c := range found.Consumers {
		row := at[c.Partition]
		switch {
		case row == nil:
		case c.Session.State == scan.SessionAlive:
			row.Alive++
		case c.Session.State == scan.SessionDead:
			row.Dead++
		}
	}
	return rows
}
