package otelstreamlease

import (
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

func TestMain(m *testing.M) { leaks.Check(m) }
