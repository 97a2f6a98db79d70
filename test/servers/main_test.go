package servers

import (
	"fmt"
	"os"
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

// envVictim makes the test binary a process that starts a server and ends violently; see TestNoServerOutlivesUs.
const envVictim = "STREAMLEASE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if end := os.Getenv(envVictim); end != "" {
		if err := victim(end); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	leaks.Check(m)
}
