package maintenance

import (
	"testing"

	"go.uber.org/goleak"
)

// The pool library starts two goroutines when it is loaded.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
