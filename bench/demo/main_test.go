package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// envMain makes the test binary the demo.
const envMain = "BE_DEMO"

// TestMain lets the test binary also be the demo and the other process.
func TestMain(m *testing.M) {
	if text := os.Getenv(envChild); text != "" {
		os.Exit(childMain(text, os.Stdin, os.Stdout))
	}
	if os.Getenv(envMain) != "" {
		main()
		return
	}
	// The library of the worker pool keeps a pool of its own from the start of the program to its end.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}
