package suite

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/simulation"
)

func TestScaleReportsLoadRecoveryAndAssumptions(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	r := &report.Report{Out: &out, Command: "bench scale", Dir: dir, Goals: true}
	o := ScaleOptions{
		Fleet: simulation.Config{
			Pods: 20, PerPod: 500, Partitions: 4, Masters: 2, LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second,
			Tick: 100 * time.Millisecond, MaxBatch: 256, Script: 20 * time.Microsecond, Lease: time.Microsecond,
			Move: 50 * time.Microsecond, MoveRate: 10_000,
		},
		Lost: []int{1, 10}, For: 10 * time.Second,
	}
	require.NoError(t, Scale(t.Context(), o, r))
	text := out.String()
	for _, want := range []string{"leases a script", "noticed everywhere after", "the last", "costs: 20µs a script", "not those of this machine", "goal met"} {
		require.Contains(t, text, want)
	}
	page, err := os.ReadFile(filepath.Join(dir, report.PageFile))
	require.NoError(t, err)
	require.Contains(t, string(page), "The busiest master meanwhile")
	require.Contains(t, string(page), "2 of 2 goals met")

	out.Reset()
	r.Goals = false
	require.NoError(t, Scale(t.Context(), o, r))
	require.NotContains(t, out.String(), "goal")

	o.Lost = []int{20}
	require.ErrorContains(t, Scale(t.Context(), o, r), "at least one to survive")
}

// TestScaleSaysWhereMastersHaveNoTime: costs that were measured on a busy machine are a result, not a failure.
func TestScaleSaysWhereMastersHaveNoTime(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	o := ScaleOptions{
		Fleet: simulation.Config{
			Pods: 20, PerPod: 500, Partitions: 4, Masters: 2, LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second,
			Tick: 100 * time.Millisecond, MaxBatch: 256, Script: 20 * time.Millisecond, Lease: time.Microsecond,
			Move: 50 * time.Microsecond, MoveRate: 10_000,
		},
		Lost: []int{1, 10}, For: 10 * time.Second,
	}
	require.NoError(t, Scale(t.Context(), o, &report.Report{Out: &out, Command: "bench scale", Dir: dir}))
	page, err := os.ReadFile(filepath.Join(dir, report.PageFile))
	require.NoError(t, err)
	for _, text := range []string{out.String(), string(page)} {
		require.Contains(t, text, "not in 600.00 s")
		require.Contains(t, text, "Pods that die at once: 1. Of their streams 500 of 500 are not owned again in 10m0s: the masters have no time left")
		require.Contains(t, text, "The busiest master cannot keep up with renewals alone")
	}
	require.NotContains(t, string(page), "Until streams are owned again")
	require.Contains(t, string(page), "The busiest master meanwhile")
}

func TestCostsAreReadFromBothKindsOfFile(t *testing.T) {
	dir := t.TempDir()
	want := Costs{Script: 20 * time.Microsecond, Move: 40 * time.Microsecond, MoveRate: 9000}
	var alone bytes.Buffer
	r := &report.Report{Out: &alone, JSON: true, Dir: dir, Command: "bench take"}
	require.NoError(t, r.Write(Taken{}, func(w io.Writer) { writeTaken(w, Taken{}) }))
	alone.Reset()
	r.Command = "bench size -json"
	require.NoError(t, r.Write(Sized{Costs: want}, func(io.Writer) {}))
	path := filepath.Join(dir, "size.json")
	require.NoError(t, os.WriteFile(path, alone.Bytes(), 0o600))
	for _, file := range []string{path, filepath.Join(dir, report.DataFile)} {
		got, err := ReadCosts(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	_, err := ReadCosts(filepath.Join(dir, "absent"))
	require.ErrorContains(t, err, "-from: ")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = ReadCosts(path)
	require.ErrorContains(t, err, "-from: ")
	other, err := json.Marshal(map[string]any{"Command": "bench hold", "Results": []int{}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, other, 0o600))
	_, err = ReadCosts(path)
	require.ErrorContains(t, err, "no results of bench size")
}
