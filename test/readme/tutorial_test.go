package readme

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/telemetry"
)

// TestTheFirstProgramsPageIsTrue types what docs/first-program.md says into one shell, in an empty folder, and waits for what the page says
// will be printed. Only what the page cannot know differs: where this library is, since the version to be released cannot be had yet, and
// the port of Redis.
func TestTheFirstProgramsPageIsTrue(t *testing.T) {
	t.Parallel()
	if !have(t, "redis-server") || !have(t, "redis-cli") {
		return
	}
	s := terminal(t)
	typed, printed := 0, 0
	blocks, _ := fences("docs/first-program.md", read(t, "docs/first-program.md"))
	for _, b := range blocks {
		switch b.language {
		case "sh":
			typed++
			_, err := io.WriteString(s.in, b.text)
			require.NoError(t, err, "%s: %s", b.where, s.out)
		case "go":
			s.waits(t, b.where, func() bool {
				return os.WriteFile(filepath.Join(s.folder, "chat", "main.go"), []byte(b.text), 0o600) == nil
			})
		case "text":
			for line := range strings.Lines(b.text) {
				printed++
				s.waits(t, b.where, func() bool { return s.out.Has(line) })
			}
		}
	}
	require.Greater(t, typed, 5)
	require.Greater(t, printed, 3)
	require.NoError(t, s.in.Close())
	require.NoError(t, <-s.ended, "%s", s.out)
}

// session is a shell that ends at the first command that fails.
type session struct {
	folder string
	in     io.WriteCloser
	out    *telemetry.Log
	ended  chan error
}

// waits waits for what comes of what was typed.
func (s *session) waits(t *testing.T, where string, until func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !until(); {
		select {
		case err := <-s.ended:
			require.Fail(t, "the shell has ended", "%s: %v: %s", where, err, s.out)
		case <-time.After(10 * time.Millisecond):
			require.True(t, time.Now().Before(deadline), "%s: %s", where, s.out)
		}
	}
}

// terminal starts a shell in an empty folder, with a port of its own for Redis.
func terminal(t *testing.T) *session {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	library, err := filepath.Abs(root)
	require.NoError(t, err)
	programs := t.TempDir()
	program := func(name, text string) {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		text = "#!/bin/sh\n" + strings.NewReplacer("NAME", path, "PORT", fmt.Sprint(port), "LIBRARY", library).Replace(text)
		require.NoError(t, os.WriteFile(filepath.Join(programs, name), []byte(text), 0o700))
	}
	program("redis-cli", `exec NAME -p PORT "$@"`)
	program("redis-server", `timeout 300 NAME "$@" --port PORT --daemonize no >server.log 2>&1 & exec sleep 0.1`)
	program("go", `NAME "$@" && case "$1 $2" in "mod init") NAME mod edit -replace=github.com/streamlease/streamlease=LIBRARY; esac`)

	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	require.NoError(t, err)

	s := &session{folder: t.TempDir(), out: new(telemetry.Log), ended: make(chan error, 1)}
	shell := exec.Command("bash", "-e")
	shell.Dir = s.folder
	shell.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), fmt.Sprintf("REDIS_ADDR=127.0.0.1:%d", port),
		"GOWORK=off", "GOPROXY=file://"+strings.TrimSpace(string(cache))+"/cache/download") // nothing is fetched that these tests did not need
	shell.Stdout, shell.Stderr = s.out, s.out
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.in, err = shell.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Start())
	go func() { s.ended <- shell.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }) // with whatever it has started
	return s
}
