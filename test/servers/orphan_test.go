package servers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// victim starts a server, prints its process ID and directory, waits for a line, and then ends in the given way.
func victim(end string) error {
	s, err := Start(context.Background(), Options{})
	if err != nil {
		return err
	}
	if end == "paused" {
		if err := s.Pause(); err != nil {
			return err
		}
	}
	fmt.Printf("%d %s\n", s.PID(), s.Dir())
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	switch end {
	case "exit":
		os.Exit(0)
	case "panic":
		go func() { panic("end of the victim") }()
		select {}
	case "kill", "paused":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return fmt.Errorf("unknown end %q", end)
}

func TestNoServerOutlivesUs(t *testing.T) {
	for _, end := range []string{"kill", "paused", "panic", "exit"} {
		t.Run(end, func(t *testing.T) {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), envVictim+"="+end)
			stdin, err := child.StdinPipe()
			require.NoError(t, err)
			stdout, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			line, err := bufio.NewReader(stdout).ReadString('\n')
			require.NoError(t, err)
			number, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
			require.True(t, ok, line)
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
			pid, err := strconv.Atoi(number)
			require.NoError(t, err)
			require.True(t, running(pid), "server %d runs while its parent does", pid)

			_, err = io.WriteString(stdin, "end\n")
			require.NoError(t, err)
			_ = child.Wait() // how it ended is the point of the test, not an error
			require.NotEqual(t, 3, child.ProcessState.ExitCode())
			require.Eventually(t, func() bool { return !running(pid) }, 20*time.Second, 5*time.Millisecond,
				"server %d outlived its parent", pid)
		})
	}
}

// The death signal is tied to the thread that forked: a server must survive the end of the thread that requested it.
func TestServerSurvivesTheThreadThatAsked(t *testing.T) {
	type result struct {
		s   *Server
		err error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		s, err := Start(context.Background(), Options{})
		results <- result{s, err}
	}()
	r := <-results
	require.NoError(t, r.err)
	defer func() { require.NoError(t, r.s.Stop()) }()
	pid := r.s.PID()
	for range 20 {
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(done)
		}()
		<-done
		_, err := r.s.Info(context.Background(), "server")
		require.NoError(t, err)
	}
	require.Equal(t, pid, r.s.PID())
}

// running reports whether a process runs. A process that has ended and was not waited for does not run.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	fields, err := procStat(pid)
	return err != nil || fields[0] != "Z"
}
