package version

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescribe(t *testing.T) {
	for _, c := range []struct{ main, library, want string }{
		{"v1.2.3", "v1.2.3", "v1.2.3, go1.26.0"},
		{"v1.2.3", "v1.2.4", "v1.2.3 with the library v1.2.4, go1.26.0"},
		{"v1.2.4-0.20261128012345-0123456789ab", "(devel)", "v1.2.4-0.20261128012345-0123456789ab, go1.26.0"}, // in a workspace
		{"", "(devel)", "(devel), go1.26.0"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: c.main},
			Deps: []*debug.Module{{Path: "example.org/other", Version: "v9.0.0"}, {Path: library, Version: c.library}}}
		require.Equal(t, c.want, describe(info))
	}
}
