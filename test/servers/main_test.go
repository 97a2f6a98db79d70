package servers

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// envVictim makes the test binary a process that starts a server and comes to a violent end; see TestNoServerOutlivesUs.
const envVictim = "STREAMLEASE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if end := os.Getenv(envVictim); end != "" {
		if err := victim(end); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	// A cluster client whose topology changed closes the connections that it needs no more 5 s later, closed itself or not.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}
