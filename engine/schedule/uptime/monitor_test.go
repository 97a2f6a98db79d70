package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/schedule"
)

func TestAFileOfMonitorsBecomesSchedules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitors.json")
	require.NoError(t, os.WriteFile(file, []byte(`[
		{"name": "shop", "target": "https://shop.example.com/", "every": "30s", "contains": "Welcome", "certDays": 14},
		{"name": "database", "target": "tcp://db.example.com:5432", "every": "5s"}]`), 0o600))
	all, err := loadMonitors(file)
	require.NoError(t, err)
	require.Equal(t, Duration(10*time.Second), all[0].Timeout)
	require.Equal(t, Duration(2500*time.Millisecond), all[1].Timeout)

	s := slices.Collect(specs(all))
	require.Equal(t, "database", s[1].Name)
	require.Equal(t, 5*time.Second, s[1].Every)
	info, err := json.Marshal(s[0].Info)
	require.NoError(t, err)
	read, err := schedule.DecodeInfo[Monitor](&schedule.Spec{Info: json.RawMessage(info)})
	require.NoError(t, err)
	require.Equal(t, all[0], read)
}

func TestWrongMonitorsAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"target": "tcp://a:1", "every": "1s"}`, "name is missing"},
		{`{"name": "a", "target": "ftp://a", "every": "1s"}`, "want http://"},
		{`{"name": "a", "target": "javascript:alert(1)", "every": "1s"}`, "want http://"},
		{`{"name": "a", "target": "tcp://a", "every": "1s"}`, "no port"},
		{`{"name": "a", "target": "http://a", "every": "10ms"}`, "want at least 1s"},
		{`{"name": "a", "target": "http://a", "every": "2s", "timeout": "1001ms"}`, "at most half"},
		{`{"name": "a", "target": "http://a", "every": "2s", "timeout": "-1s"}`, "at most half"},
		{`{"name": "a", "target": "http://a", "every": 2}`, "Duration"},
	} {
		file := filepath.Join(t.TempDir(), "monitors.json")
		require.NoError(t, os.WriteFile(file, []byte("["+c.text+"]"), 0o600))
		_, err := loadMonitors(file)
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, file)
	}
}
