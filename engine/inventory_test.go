package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An engine knows the entries that are parked, held and being completed, in the order of their IDs, and no others.
func TestInventoryHasEveryEntryOfTheProcess(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		held, parked, ending, elsewhere := h.streamIn(0, 0), h.streamIn(0, 1), h.streamIn(0, 2), h.streamIn(1, 0)
		h.hold(parked, "other.1", time.Hour)
		h.server.announce(ending, parked, held, elsewhere)
		e := h.start(nil)
		advance(5 * time.Second)
		e.fake.failOnly(faultHang, "done", "requeue")
		l := e.held(ending)
		go func() { _ = l.Done(context.Background()) }()
		malformed := h.server.addMalformed(0) // becomes a dead letter, which hangs
		advance(time.Second)

		v := e.reader.intake.inventory
		var ids []string
		for i, x := range v.known(e.partitions[0], e.session(0)) {
			if len(ids) > 0 && ids[len(ids)-1] == x.id {
				continue // an entry that moves on may be there twice
			}
			ids = append(ids, x.id)
			require.False(t, x.held != nil && x.parked != nil, "entry %d", i)
		}
		parkedID := e.parkedEntries(0)[0].ID
		require.Equal(t, []string{l.Entry(), parkedID, e.held(held).Entry(), malformed}, ids)

		require.True(t, v.has(0, held, e.held(held).Entry()))
		require.True(t, v.has(0, parked, parkedID))
		require.True(t, v.has(0, ending, l.Entry()))
		require.True(t, v.has(0, "", malformed))
		require.False(t, v.has(0, held, "1-1"), "another entry of a stream that is held")
		require.False(t, v.has(1, "", malformed), "the entry of another partition")

		require.Equal(t, []string{"1-1"}, v.unknown(e.partitions[0], e.session(0), []string{parkedID, "1-1", malformed, l.Entry()}))
		require.Empty(t, v.unknown(e.partitions[0], e.session(0), nil))
	})
}
