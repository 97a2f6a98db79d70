package recovery

import (
	"fmt"
	"os"
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(envChild); text != "" {
		if err := childMain(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(childFailed)
		}
		os.Exit(0)
	}
	leaks.Check(m)
}
