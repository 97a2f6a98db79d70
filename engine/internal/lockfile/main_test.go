package lockfile

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// envChild is the path of the file that a child of this process locks.
const envChild = "STREAMLEASE_LOCKFILE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(envChild); path != "" {
		if err := childMain(path); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
