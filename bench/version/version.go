package version

import (
	"fmt"
	"runtime/debug"
)

const library = "github.com/streamlease/streamlease"

// String returns the version of the command that runs, that of the library in it if it is another one, and that of Go. What is built in a
// checkout has the version that the go command makes of the last commit, or (devel) where it knows none.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	version := info.Main.Version
	if version == "" {
		version = "(devel)" // in tests
	}
	for _, dep := range info.Deps {
		if dep.Path == library && dep.Version != version && dep.Version != "(devel)" {
			return fmt.Sprintf("%s with the library %s, %s", version, dep.Version, info.GoVersion)
		}
	}
	return fmt.Sprintf("%s, %s", version, info.GoVersion)
}
