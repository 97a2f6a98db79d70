package console

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// A page outlives the number of partitions with which it was first asked for: a stream is then looked for where it is now.
func TestPagesFollowARepartition(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	stream := "a"
	for ; h.layoutOf(3).Of(stream) == 0; stream += "a" {
	}
	h.announce(stream)
	c := h.console()
	page := "/stream?name=" + url.QueryEscape(stream)
	require.Contains(t, get(t, c, page).text, "was not delivered yet")

	h.Do("ZADD", h.layout.Keys(0).Sessions, "0", worker) // it has stopped
	inspector, err := scan.NewInspector(h.Client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = inspector.Repartition(t.Context(), 3, nil)
	require.NoError(t, err)
	require.Contains(t, get(t, c, page).text, "was not delivered yet")
}
