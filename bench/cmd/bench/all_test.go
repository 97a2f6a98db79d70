package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/suite"
)

func TestAReportIsLeftInTheFolder(t *testing.T) {
	parallel(t)
	dir := filepath.Join(t.TempDir(), "new")
	out, err := bench(t, "-goals", "-out", dir, "take", "-streams", "300", "-rounds", "1")
	require.NoError(t, err, out)
	require.Regexp(t, "goal (met|MISSED)", out)
	page, err := os.ReadFile(filepath.Join(dir, report.PageFile))
	require.NoError(t, err)
	require.Contains(t, string(page), "take -streams 300 -rounds 1")
	require.Contains(t, string(page), "Announced streams a second")
	require.Contains(t, string(page), "pipelined XADDs.")
	require.Contains(t, string(page), "goals met")
	data, err := os.ReadFile(filepath.Join(dir, report.DataFile))
	require.NoError(t, err)
	var report struct {
		Parts []struct{ Results suite.Taken }
	}
	require.NoError(t, json.Unmarshal(data, &report))
	require.Len(t, report.Parts, 1)
	require.Equal(t, 300, report.Parts[0].Results.Streams)
}

func TestTheWholeSuiteWritesOneReport(t *testing.T) {
	before := short
	t.Cleanup(func() { short = before })
	short = []string{"take -streams 200 -rounds 1", "done -streams 200 -rounds 1"}
	dir := t.TempDir()
	require.NoError(t, command().Run(t.Context(), []string{"bench", "-out", dir, "all"}))
	data, err := os.ReadFile(filepath.Join(dir, report.DataFile))
	require.NoError(t, err)
	var report struct{ Parts []struct{ Command string } }
	require.NoError(t, json.Unmarshal(data, &report))
	require.Len(t, report.Parts, 2)
	require.Equal(t, "bench take -streams 200 -rounds 1", report.Parts[0].Command)
	require.Equal(t, "bench done -streams 200 -rounds 1", report.Parts[1].Command)
}

// TestTheSuiteGoesOnAfterAFailure, and uses default costs where none were measured.
func TestTheSuiteGoesOnAfterAFailure(t *testing.T) {
	t.Setenv("BE_BENCH", "1") // for the processes that size starts
	before := short
	t.Cleanup(func() { short = before })
	dir := t.TempDir()
	short = []string{"size -streams 10 -session-ttl 1h", "scale -pods 10 -streams 10 -lost 1 -partitions 2 -masters 2 -from FOLDER/" + report.DataFile, "done -streams 200 -rounds 1"}
	err := command().Run(t.Context(), []string{"bench", "-out", dir, "all", "-redis", ""})
	require.EqualError(t, err, "1 of 3 measurements ended with an error, which the report shows: size")
	data, err := os.ReadFile(filepath.Join(dir, report.DataFile))
	require.NoError(t, err)
	var left struct {
		Parts []struct {
			Command string
			Results json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(data, &left))
	require.Len(t, left.Parts, 3)
	require.Contains(t, string(left.Parts[0].Results), `"Error": "holding 10 streams: `)
	require.Equal(t, "bench scale -pods 10 -streams 10 -lost 1 -partitions 2 -masters 2", left.Parts[1].Command)
	require.NotContains(t, string(left.Parts[1].Results), `"From"`)
	require.Contains(t, left.Parts[2].Command, "bench done")
	page, err := os.ReadFile(filepath.Join(dir, report.PageFile))
	require.NoError(t, err)
	require.Contains(t, string(page), "It ended with an error: holding 10 streams: ")
	require.Contains(t, string(page), "not those of this machine")
	require.NotContains(t, string(page), "goals met")
}

func TestTheWholeSuiteNeedsAFolder(t *testing.T) {
	parallel(t)
	out, err := bench(t, "all")
	require.Error(t, err)
	require.Contains(t, out, "bench -out FOLDER all")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	out, err = bench(t, "-out", file, "take", "-streams", "10", "-rounds", "1")
	require.Error(t, err)
	require.Contains(t, out, "bench: -out: ")
}
