package faults

import (
	"fmt"
	"os"
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(envSleeper); addr != "" {
		if err := sleeper(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	leaks.Check(m)
}
