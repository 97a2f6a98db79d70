package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
)

func TestBacklogIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q backlog
		var model []api.Token
		var token api.Token
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				require.Equal(t, len(model), q.len())
				// What was popped must not be kept alive.
				for _, n := range q.rest[:q.head] {
					require.Zero(t, n)
				}
				for _, n := range q.rest[len(q.rest):cap(q.rest)] {
					require.Zero(t, n)
				}
			},
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					token++
					q.push(api.Notification{Token: token})
					model = append(model, token)
				}
			},
			"pop": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 6).Draw(t, "n"), len(model)) {
					require.Equal(t, model[0], q.pop().Token)
					model = model[1:]
				}
			},
			"reset": func(t *rapid.T) {
				q.reset()
				model = nil
				require.LessOrEqual(t, cap(q.rest), keepBacklog)
			},
		})
	})
}
