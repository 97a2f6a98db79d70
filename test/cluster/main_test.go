package cluster

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// suite runs all tests of this package, and then stops the cluster that they share.
type suite struct{ *testing.M }

func (m suite) Run() int {
	code := m.M.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	// A client closes connections to nodes that left 5 s later, and refreshes up to 1 s later, even if it was closed.
	for range 10 {
		if goleak.Find(beforeTests) == nil {
			break
		}
	}
	return code
}

// The pool library starts two goroutines when it is loaded.
var beforeTests = goleak.IgnoreCurrent()

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}, beforeTests) }
