package readme

import (
	"os"
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

func TestMain(m *testing.M) {
	// Pages show programs of several modules, and readers have them all: they are built in the workspace, also if the library is tested
	// without it.
	if err := os.Setenv("GOWORK", ""); err != nil {
		panic(err)
	}
	leaks.Check(m)
}
