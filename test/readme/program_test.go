package readme

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// TestFirstProgramRunsAsPrinted announces a stream as the README does, and ends the program as a user would.
func TestFirstProgramRunsAsPrinted(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	first := start(t, block(t, "README.md", "go", "e.Run("), server.Addr())
	key, field, value := add(t, client, block(t, "README.md", "sh", "lbs-input"))
	first.prints(t, `own user-1 token \d+ info {"lang":"en"}`)
	first.interrupt(t)

	entries, err := client.Do(context.Background(), client.B().Xrange().Key(key).Start("-").End("+").Build()).AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1, "requeued")
	require.Equal(t, value, entries[0].FieldValues[field])
}

// TestReaderRunsAsPrinted runs the program that reads messages twice: the second run goes on where the first one stopped.
func TestReaderRunsAsPrinted(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	source := block(t, "README.md", "go", "e.RunEach(")
	reader := start(t, source, server.Addr())
	add(t, client, block(t, "README.md", "sh", "lbs-input"))
	add(t, client, block(t, "README.md", "sh", "text hello"))
	reader.prints(t, `user-1 \d+-\d+ map\[text:hello\]`)
	require.Eventually(t, func() bool {
		last, err := client.Do(context.Background(), client.B().Hget().Key("{user-1}:position").Field("last").Build()).ToString()
		return err == nil && last != "0"
	}, 30*time.Second, 10*time.Millisecond)
	reader.interrupt(t)

	again := start(t, source, server.Addr())
	add(t, client, "redis-cli XADD user-1 '*' text again")
	again.prints(t, `user-1 \d+-\d+ map\[text:again\]`)
	again.interrupt(t)
	require.NotContains(t, again.out.String(), "hello")
}
