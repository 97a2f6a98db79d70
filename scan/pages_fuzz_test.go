package scan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A cursor is text from outside: it is a place that is written the same way again, or is refused.
func FuzzCursor(f *testing.F) {
	r := reading[Delayed]{scope: "delayed", partitions: []int{0, 3}, valid: func(after string) bool { return new(delayedCursor).setPlace(after) }}
	member := delayedCursor{score: "1790000000000", skip: 2, last: "\x92\xa3\xff{<b>"}
	f.Add("")
	f.Add(r.cursor(place{partition: 3}))
	f.Add(r.cursor(place{partition: 3, after: member.place()}))
	f.Add(strings.Replace(r.cursor(place{after: member.place()}), ".0.", ".3.", 1))
	f.Add(r.tag() + ".0.-inf:0:")
	f.Fuzz(func(t *testing.T, cursor string) {
		at, err := r.parse(cursor)
		if err != nil {
			require.Zero(t, at)
			return
		}
		require.Contains(t, r.partitions, at.partition)
		require.Equal(t, cursor, r.cursor(at))
		var c delayedCursor
		if at.after == "" || !c.setPlace(at.after) {
			return
		}
		var again delayedCursor
		require.True(t, again.setPlace(c.place()))
		require.Equal(t, c, again)
	})
}
