package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused")

// checks is a sequence of results, one a second: + is success, - failure, ? failure while this process was offline.
func checks(t *testing.T, s State, from int, results string) State {
	t.Helper()
	for i, r := range results {
		failure := errRefused
		if r == '+' {
			failure = nil
		}
		s = s.after(second(from+i), time.Millisecond, failure, r == '?')
		text, err := json.Marshal(s) // as the next owner gets it
		require.NoError(t, err)
		s = State{}
		require.NoError(t, json.Unmarshal(text, &s))
	}
	return s
}

func second(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func TestAMonitorIsDownAfterThreeFailuresInARow(t *testing.T) {
	for _, c := range []struct {
		results string
		status  Status
		since   int
		unknown bool
	}{
		{"+", Up, 0, false},
		{"+--", Up, 0, false},
		{"+--+--", Up, 0, false},
		{"+---", Down, 1, false},
		{"+-----", Down, 1, false},
		{"+---+", Up, 4, false},
		{"+---+-", Up, 4, false},
		{"---", Down, 0, false},
		{"-", New, -1, false},
		{"+???", Up, 0, true},
		{"+--?", Up, 0, true},
		{"+--?--", Up, 0, false},
		{"+--?---", Down, 4, false},
		{"+---???", Down, 1, true},
		{"+---???+", Up, 7, false},
		{"?", New, -1, true},
	} {
		s := checks(t, State{}, 0, c.results)
		require.Equal(t, c.status, s.Status, c.results)
		require.Equal(t, c.unknown, s.Unknown, c.results)
		if c.since >= 0 {
			require.Equal(t, second(c.since), s.Since, c.results)
		}
		require.Equal(t, !strings.HasSuffix(c.results, "+"), s.Error != "", c.results)
	}
}

func TestPeopleAreToldOnceOfEachChange(t *testing.T) {
	var told []string
	var s State
	for i, r := range "+---------+?????+---++---?-++" {
		s = checks(t, s, i, string(r))
		if s.news() {
			told = append(told, newAlert("shop", "", s).Key+" "+string(s.Status))
			s.Alerted = s.Since
		}
	}
	require.Equal(t, []string{
		"shop@1767355201000 down", "shop@1767355210000 up",
		"shop@1767355217000 down", "shop@1767355220000 up",
		"shop@1767355222000 down", "shop@1767355227000 up",
	}, told)
}

// After a crash the same check is made again, by another process: it comes to the same alert.
func TestARepeatedCheckHasTheSameKey(t *testing.T) {
	before := checks(t, State{}, 0, "+--")
	first, again := checks(t, before, 3, "-"), checks(t, before, 3, "-")
	require.True(t, first.news())
	require.Equal(t, newAlert("shop", "", first), newAlert("shop", "", again))
}

func TestErrorsAreShort(t *testing.T) {
	text := short(&url.Error{Op: "Get", URL: "https://example.com", Err: errors.New(strings.Repeat("ä", maxError))})
	require.LessOrEqual(t, len(text), maxError)
	require.True(t, utf8.ValidString(text))
	require.NotContains(t, text, "example.com")
	text = short(errors.New("a" + strings.Repeat("ä", maxError)))
	require.True(t, utf8.ValidString(text))
}
