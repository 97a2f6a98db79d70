package readme

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// TestFirstProgramRunsAsPrinted builds the first program of the README, announces a stream as the README does, and ends the
// program as a user would.
func TestFirstProgramRunsAsPrinted(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte(block(t, "go", "package main")), 0o600))
	program := filepath.Join(dir, "first")
	build := exec.Command("go", "build", "-o", program, source)
	build.Dir = root
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)

	server := servers.New(t)
	client := server.Client(t)
	ctx := context.Background()
	out := new(telemetry.Log)
	first := exec.Command(program)
	first.Env = append(os.Environ(), "REDIS_ADDR="+server.Addr())
	first.Stdout, first.Stderr = out, out
	require.NoError(t, first.Start())
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	t.Cleanup(func() { _ = first.Process.Kill() })

	announcement := regexp.MustCompile(`redis-cli XADD (\S+) '\*' (\S+) '(.*)'`).FindStringSubmatch(block(t, "sh", "redis-cli"))
	require.NotNil(t, announcement)
	add := client.B().Xadd().Key(announcement[1]).Id("*").FieldValue().FieldValue(announcement[2], announcement[3]).Build()
	require.NoError(t, client.Do(ctx, add).Error())
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`own user-1 token \d+ info {"lang":"en"}`).MatchString(out.String())
	}, 30*time.Second, 10*time.Millisecond, "%s", out)

	require.NoError(t, first.Process.Signal(os.Interrupt))
	require.NoError(t, <-ended, "%s", out)
	entries, err := client.Do(ctx, client.B().Xrange().Key(announcement[1]).Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1, "requeued")
	require.Equal(t, announcement[3], entries[0].FieldValues[announcement[2]])
}

// TestFenceRefusesEarlierOwners runs the Lua script of the README.
func TestFenceRefusesEarlierOwners(t *testing.T) {
	client := servers.New(t).Client(t)
	ctx := context.Background()
	fence := rueidis.NewLuaScript(block(t, "lua", "fence"))
	write := func(token api.Token, value string) int64 {
		n, err := fence.Exec(ctx, client, []string{"{user-1}:fence", "{user-1}:data"},
			[]string{strconv.FormatUint(uint64(token), 10), value}).AsInt64()
		require.NoError(t, err)
		return n
	}
	const great = api.Token(1<<53 - 2)
	require.EqualValues(t, 1, write(7, "a"))
	require.EqualValues(t, 1, write(7, "b"), "the same owner")
	require.EqualValues(t, 1, write(great, "c"))
	require.EqualValues(t, 0, write(7, "late"))
	require.EqualValues(t, 0, write(great-1, "late"))
	require.EqualValues(t, 1, write(great+1, "d"))
	value, err := client.Do(ctx, client.B().Get().Key("{user-1}:data").Build()).ToString()
	require.NoError(t, err)
	require.Equal(t, "d", value)
}
