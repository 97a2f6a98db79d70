package api_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

var sentinels = map[string]error{
	"ErrLeaseLost":         api.ErrLeaseLost,
	"ErrSessionLost":       api.ErrSessionLost,
	"ErrReannounced":       api.ErrReannounced,
	"ErrAnnouncementLost":  api.ErrAnnouncementLost,
	"ErrNotHandedBack":     api.ErrNotHandedBack,
	"ErrOutcomeUnknown":    api.ErrOutcomeUnknown,
	"ErrNotHeld":           api.ErrNotHeld,
	"ErrDone":              api.ErrDone,
	"ErrReleased":          api.ErrReleased,
	"ErrFailed":            api.ErrFailed,
	"ErrNotShut":           api.ErrNotShut,
	"ErrReleasing":         api.ErrReleasing,
	"ErrDraining":          api.ErrDraining,
	"ErrRebalanced":        api.ErrRebalanced,
	"ErrCheckpointTooLong": api.ErrCheckpointTooLong,
	"ErrNoCheckpoints":     api.ErrNoCheckpoints,
	"ErrGoexit":            api.ErrGoexit,
	"ErrClosed":            api.ErrClosed,
	"ErrStarted":           api.ErrStarted,
	"ErrDrainTimeout":      api.ErrDrainTimeout,
	"ErrNotReady":          api.ErrNotReady,
	"ErrInvalidConfig":     api.ErrInvalidConfig,
	"ErrInvalidStream":     api.ErrInvalidStream,
	"ErrTooLarge":          api.ErrTooLarge,
	"ErrHeldElsewhere":     api.ErrHeldElsewhere,
	"ErrNotAnnounced":      api.ErrNotAnnounced,
	"ErrPartitionMismatch": api.ErrPartitionMismatch,
	"ErrFormat":            api.ErrFormat,
	"ErrServiceStopped":    api.ErrServiceStopped,
	"ErrNoAgreement":       api.ErrNoAgreement,
	"ErrForeignConsumers":  api.ErrForeignConsumers,
	"ErrUnsupportedServer": api.ErrUnsupportedServer,
	"ErrNotRedis":          api.ErrNotRedis,
	"ErrMissingRights":     api.ErrMissingRights,
	"ErrLockHeld":          api.ErrLockHeld,
}

// A program that compares with errors.Is must not take one error for another,
// except where one is documented as a special case.
func TestErrorsAreToldApart(t *testing.T) {
	special := map[string]string{"ErrSessionLost": "ErrLeaseLost", "ErrOutcomeUnknown": "ErrLeaseLost",
		"ErrReannounced": "ErrLeaseLost", "ErrAnnouncementLost": "ErrLeaseLost",
		"ErrDraining": "ErrReleasing", "ErrRebalanced": "ErrReleasing",
		"ErrDone": "ErrNotHeld", "ErrReleased": "ErrNotHeld", "ErrFailed": "ErrNotHeld"}
	texts := map[string]string{}
	for name, err := range sentinels {
		for other, target := range sentinels {
			want := name == other || special[name] == other
			require.Equal(t, want, errors.Is(fmt.Errorf("wrapped: %w", err), target), "%s is %s", name, other)
		}
		require.True(t, strings.HasPrefix(err.Error(), "streamlease: "), "%s: %q", name, err)
		require.NotContains(t, texts, err.Error())
		texts[err.Error()] = name
	}
}

// Each error says in its comment when it is returned, beginning with its name.
func TestEveryErrorIsDocumentedAndTested(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	require.NoError(t, err)
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		require.Contains(t, sentinels, name)
		require.True(t, strings.HasPrefix(spec.Doc.Text(), name+": "), "comment of %s", name)
		found++
		return false
	})
	require.Equal(t, len(sentinels), found)
}

func TestNotHeldMatchesWhatEndedTheLease(t *testing.T) {
	for _, cause := range []error{api.ErrLeaseLost, api.ErrSessionLost, api.ErrReleasing, api.ErrDraining, api.ErrRebalanced, api.ErrClosed} {
		err := api.NotHeld(cause)
		require.ErrorIs(t, err, api.ErrNotHeld)
		require.ErrorIs(t, err, cause)
		require.Contains(t, err.Error(), cause.Error())
	}
	require.NotErrorIs(t, api.NotHeld(api.ErrReleasing), api.ErrLeaseLost)
	require.Equal(t, api.ErrNotHeld, api.NotHeld(nil))
	require.Equal(t, api.ErrNotHeld, api.NotHeld(api.ErrNotHeld))
}
