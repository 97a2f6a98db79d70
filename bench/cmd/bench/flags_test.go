package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

func TestPartsAreChosenByName(t *testing.T) {
	t.Parallel()
	type part string
	all := []part{"loads", "idle", "many"}
	chosen := func(names string) (some []part, err error) {
		c := &cli.Command{Flags: []cli.Flag{partsFlag(all)}, Action: func(_ context.Context, c *cli.Command) error {
			some, err = parts(c, all)
			return nil
		}}
		require.NoError(t, c.Run(t.Context(), []string{"bench", "-parts", names}))
		return some, err
	}
	some, err := chosen("all")
	require.NoError(t, err)
	require.Equal(t, all, some)
	some, err = chosen("many, loads")
	require.NoError(t, err)
	require.Equal(t, []part{"many", "loads"}, some)
	_, err = chosen("loads,half")
	require.ErrorContains(t, err, `-parts: "half" is not one of all, [loads idle many]`)
}
