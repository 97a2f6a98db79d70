package firing

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/bench/ticks/fired"
)

func TestSpecsAndGridsAgree(t *testing.T) {
	crons := 0
	for i := range 200 {
		for _, other := range []bool{false, true} {
			s := state{number: i, other: other}
			spec, grid := s.spec(), s.grid()
			if spec.Cron != "" {
				crons++
				require.Zero(t, spec.Every)
				require.Zero(t, grid.Phase)
				continue
			}
			require.Equal(t, spec.Every, time.Duration(grid.Every)*time.Millisecond)
			require.Less(t, grid.Phase, grid.Every)
		}
		require.NotEqual(t, timesOf(i)[0], timesOf(i)[1])
	}
	require.Equal(t, 20, crons)
}

func TestTheReportShowsEachFault(t *testing.T) {
	r := Result{Options: Options{Schedules: 7}, Outcome: storm.Outcome{Struck: map[string]int{storm.Killed: 3}}, Changed: map[string]int{string(fired.Pause): 4}}
	require.True(t, r.Holds())
	var out strings.Builder
	r.Write(&out)
	require.Equal(t, 12, strings.Count(out.String(), "goal met"), out.String())
	require.Contains(t, out.String(), "a process is killed")
	require.Contains(t, out.String(), "a schedule is paused")
	r.Findings = fired.Findings{Lost: 1, Silent: 1, OffGrid: 1, Disordered: 1, Stale: 1, Unexcused: 1, Obsolete: 1, Ignored: 1, Forgotten: 1, Named: []string{"schedule 3: odd"}}
	r.Differs, r.BadEnds, r.Errors = []string{"a"}, []string{"b"}, []string{"c"}
	require.False(t, r.Holds())
	out.Reset()
	r.Write(&out)
	require.Equal(t, 12, strings.Count(out.String(), "goal MISSED"), out.String())
	require.Contains(t, out.String(), "schedule 3: odd")
}
