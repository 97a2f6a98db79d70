package faults

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(envSleeper); addr != "" {
		if err := sleeper(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	// The pool library starts two goroutines when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
