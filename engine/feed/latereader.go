package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// stepTimeout bounds one round trip of what is done for a stream apart from reading.
const stepTimeout = 5 * time.Second

// lateReader is the reader of a feed, which is there from the first stream on.
type lateReader struct {
	backing.Reader // set before the first stream is added
}

// lastID returns the greatest ID that the stream ever had; the zero ID where there is none.
func (r *lateReader) lastID(ctx context.Context, stream string) (position.ID, error) {
	text, err := r.LastID(ctx, stream)
	if err != nil || text == "" {
		return position.ID{}, err
	}
	id, err := position.Parse(text)
	if err != nil {
		return position.ID{}, fmt.Errorf("feed: the last ID of %q: %w", stream, err)
	}
	return id, nil
}
