package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColumnsHaveOneForEachResult(t *testing.T) {
	c := NewColumns("streams", []int{10, 2000}, func(n int) any { return Grouped(n) })
	c.Line("doubled", func(n int) any { return 2 * n })
	var out strings.Builder
	c.Write(&out)
	require.Regexp(t, `(?s)streams +│ +10 │ 2,000 .*doubled +│ +20 │ +4000 `, out.String())
}
