package behave_test

import (
	"testing"

	"go.uber.org/goleak"
)

// The worker pool's package starts goroutines of its own when it is loaded: those are there by now, and are ignored.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
