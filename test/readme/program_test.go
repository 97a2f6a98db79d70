package readme

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// program is a program of the README, built as printed and started against a server.
type program struct {
	cmd   *exec.Cmd
	out   *telemetry.Log
	ended chan error
}

func start(t *testing.T, source, addr string) program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	name := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", name, file)
	build.Dir = root
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)

	p := program{cmd: exec.Command(name), out: new(telemetry.Log), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "REDIS_ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	require.NoError(t, p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p program) prints(t *testing.T, pattern string) {
	t.Helper()
	require.Eventually(t, func() bool { return regexp.MustCompile(pattern).MatchString(p.out.String()) },
		30*time.Second, 10*time.Millisecond, "%s in %s", pattern, p.out)
}

// interrupt ends the program as Ctrl-C does.
func (p program) interrupt(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, <-p.ended, "%s", p.out)
}

// add runs an XADD that the README prints for redis-cli.
func add(t *testing.T, client rueidis.Client, line string) (key, field, value string) {
	t.Helper()
	args := regexp.MustCompile(`redis-cli XADD (\S+) '\*' (\S+) '?([^'\n]*)'?`).FindStringSubmatch(line)
	require.NotNil(t, args)
	command := client.B().Xadd().Key(args[1]).Id("*").FieldValue().FieldValue(args[2], args[3]).Build()
	require.NoError(t, client.Do(context.Background(), command).Error())
	return args[1], args[2], args[3]
}

// TestFirstProgramRunsAsPrinted runs the first program twice, and writes to a stream as the README does: the second run goes on where
// the first one stopped.
func TestFirstProgramRunsAsPrinted(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	client := server.Client(t)
	source, commands := block(t, "README.md", "go", "feed.New("), block(t, "README.md", "sh", "lbs-input")
	first := start(t, source, server.Addr())
	var key, field, value string
	for line := range strings.Lines(commands) {
		if k, f, v := add(t, client, line); f == "lbs-input" {
			key, field, value = k, f, v
		}
	}
	first.prints(t, `user-1 \d+-\d+ \[{text hello}\]`)
	first.interrupt(t)

	entries, err := client.Do(context.Background(), client.B().Xrange().Key(key).Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1, "requeued")
	require.Equal(t, value, entries[0].FieldValues[field])

	again := start(t, source, server.Addr())
	add(t, client, "redis-cli XADD user-1 '*' text again")
	again.prints(t, `user-1 \d+-\d+ \[{text again}\]`)
	again.interrupt(t)
	require.NotContains(t, again.out.String(), "hello")
}
