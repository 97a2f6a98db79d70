package main

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answer is the status and the text of a site; 0 if there is none for so long.
func answer(t *testing.T, address string, long time.Duration) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return 0, ""
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	return got.StatusCode, strings.TrimSpace(string(text))
}

func TestSitesMisbehaveOnCommand(t *testing.T) {
	s, err := startSites(3)
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer s.close()
	command := func(from, to, way string) int {
		got, err := http.PostForm(s.address+"/sites", url.Values{"from": {from}, "to": {to}, "way": {way}})
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		return got.StatusCode
	}
	require.Equal(t, http.StatusOK, command("1", "2", broken))
	require.Equal(t, http.StatusOK, command("2", "3", hanging))
	status, text := answer(t, s.address+"/site/0", time.Minute)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, expected, text)
	status, _ = answer(t, s.address+"/site/1", time.Minute)
	require.Equal(t, http.StatusInternalServerError, status)
	status, _ = answer(t, s.address+"/site/2", 50*time.Millisecond)
	require.Zero(t, status)
	require.Equal(t, http.StatusOK, command("0", "3", defaced))
	status, text = answer(t, s.address+"/site/2", time.Minute)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, text, expected)
	require.Equal(t, http.StatusBadRequest, command("0", "4", fine))
	require.Equal(t, http.StatusBadRequest, command("0", "3", "odd"))
	require.Equal(t, http.StatusBadRequest, command("", "3", fine))
}

// A proof that finds nothing when something is missing proves nothing.
func TestALostCheckIsFoundByTheTimesOfTheOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uptime.db")
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	schema, err := os.ReadFile("../schema.sql")
	require.NoError(t, err)
	_, err = db.Exec(string(schema) + `INSERT INTO monitors VALUES (1, 'whole'), (2, 'gap');
		INSERT INTO reports VALUES (1, 4000, 1, 5, NULL), (1, 15000, 1, 5, NULL), (1, 30000, 1, 7, 'down'), (1, 45000, 1, 900, NULL);
		INSERT INTO reports VALUES (2, 4000, 1, 5, NULL), (2, 17000, 1, 5, NULL), (2, 47000, 1, 5, NULL)`)
	require.NoError(t, err)

	p, err := openProof(file)
	require.NoError(t, err)
	defer p.close()
	checks, lost, err := p.lost(t.Context(), 15*time.Second)
	require.NoError(t, err)
	require.Equal(t, 7, checks)
	require.Equal(t, []string{"gap between 00:00:17.000 and 00:00:47.000"}, lost)

	f, err := p.between(t.Context(), time.UnixMilli(15_000), time.UnixMilli(46_000))
	require.NoError(t, err)
	require.Equal(t, figures{checks: 4, p50: 7 * time.Millisecond, p99: 900 * time.Millisecond, worst: 900 * time.Millisecond}, f)
	n, err := p.monitors(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}
