package chain

import "testing"

// It would close a cycle if tests counted.
func TestC(t *testing.T) { A() }
