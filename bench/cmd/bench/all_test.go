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
	dir := filepath.Join(t.TempDir(), "new")
	out, err := bench(t, "-out", dir, "take", "-streams", "300", "-rounds", "1")
	require.NoError(t, err, out)
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

func TestTheWholeSuiteNeedsAFolder(t *testing.T) {
	out, err := bench(t, "all")
	require.Error(t, err)
	require.Contains(t, out, "bench -out FOLDER all")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	out, err = bench(t, "-out", file, "take", "-streams", "10", "-rounds", "1")
	require.Error(t, err)
	require.Contains(t, out, "bench: -out: ")
}
