package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/leaks"
)

// TestMain lets the test binary be a process of the fleet.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == child {
		main()
		return
	}
	leaks.Check(m)
}

// A whole fleet does what it is asked to, shows itself, and leaves nothing behind.
func TestFleet(t *testing.T) {
	in, words := io.Pipe()
	lines, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(options{streams: 50, processes: 2, schedules: 3, listen: "127.0.0.1:0"}, in, out)
		ended <- errors.Join(err, out.Close())
	}()
	said := bufio.NewScanner(lines)
	until := func(pattern string) []string {
		t.Helper()
		for re := regexp.MustCompile(pattern); said.Scan(); {
			if found := re.FindStringSubmatch(said.Text()); found != nil {
				return found
			}
		}
		require.Fail(t, "the fleet has ended", "without %s", pattern)
		return nil
	}
	say := func(word string) {
		t.Helper()
		_, err := fmt.Fprintln(words, word)
		require.NoError(t, err)
	}
	get := func(url string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, string(body))
		return string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()

	metrics := until(`metrics: (\S+) \(shop-0\)`)[1]
	pages := until(`console: (\S+) and (\S+)$`)
	until(`quit  `)
	require.Contains(t, get(metrics), `streamlease_held{partition="0",service="shop"}`)
	require.Contains(t, get(pages[1]), "shop")
	require.Contains(t, get(pages[2]), "shop-reports")

	say("kill shop-7")
	until(`no process shop-7 runs`)
	say("kill shop-1")
	until(`shop-1 was killed`)
	say("start")
	until(`shop-2 has started`)
	say("stop shop-0")
	until(`shop-0 has ended`)
	say("look")
	until(`shop-2 holds \d+`)
	say("dance")
	until(`"dance" is not a word`)
	say("quit")
	for said.Scan() {
	}
	require.NoError(t, <-ended)
	require.NoError(t, words.Close()) // what reads words waits for another one
}

func TestOptionsAreChecked(t *testing.T) {
	require.ErrorContains(t, run(options{processes: 0}, strings.NewReader(""), io.Discard), "1 or more processes")
}
