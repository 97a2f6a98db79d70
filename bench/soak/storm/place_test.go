package storm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/pod"
)

// hangs makes a process of this test hang.
const hangs = "STREAMLEASE_TEST_HANGS"

// child starts this program again, as one that hangs in the test of this name.
func child(t *testing.T) *Place {
	p := &Place{Alive: context.Background(), Name: "reader", run: "reader-1", Dir: t.TempDir()}
	log, err := os.Create(p.log())
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestAProcessThatHangs")
	cmd.Env = append(os.Environ(), hangs+"=1")
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	p.process = &pod.Process{Cmd: cmd}
	p.process.In, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 1)) // it handles signals from now on
	require.NoError(t, err)
	return p
}

func TestAProcessThatHangsIsEndedAndItsStacksAreShown(t *testing.T) {
	if os.Getenv(hangs) != "" {
		_, _ = os.Stdout.WriteString("x")
		time.Sleep(time.Hour)
	}
	p := child(t)
	err := p.within(10*time.Millisecond, p.process.Stop)
	require.ErrorIs(t, err, errHangs)
	require.ErrorContains(t, err, "reader-1 hangs: not done in 10ms")
	require.ErrorContains(t, err, "TestAProcessThatHangsIsEndedAndItsStacksAreShown")
	require.ErrorContains(t, p.kill(), "reader-1 ended by itself", "it was not killed by us")
}

func TestAProcessThatIsKilledDidNotEndByItself(t *testing.T) {
	require.NoError(t, child(t).kill())
}

func TestErrorsThatAProcessLoggedAreFound(t *testing.T) {
	p := &Place{run: "reader-1", Dir: t.TempDir()}
	p.past = []Run{{p.run, filepath.Join(p.Dir, p.run+".notes")}}
	text := `time=x level=WARN msg="redis unreachable"
time=x level=ERROR msg="handler panicked" stack="a\nb"
time=x level=INFO msg="engine ended"
`
	require.NoError(t, os.WriteFile(p.log(), []byte(text), 0o600))
	all, err := p.Errors()
	require.NoError(t, err)
	require.Equal(t, []string{`reader-1: time=x level=ERROR msg="handler panicked" stack="a\nb"`}, all)
}
