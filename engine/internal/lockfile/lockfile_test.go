package lockfile

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "svc.lock") }

// run is a run of one service.
func run(name string) Run { return Run{Service: "svc", Name: name} }

// take takes a lock that is released at the end of the test.
func mustTake(t *testing.T, path string) *Lock {
	t.Helper()
	l, err := Take(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Release() })
	return l
}

// past requires that nothing in the file was ignored.
func past(t *testing.T, l *Lock) []Run {
	t.Helper()
	runs, why := l.Past()
	require.Empty(t, why)
	return runs
}

// childMain locks the file, writes its name, says so, starts a child of its own if asked to, and waits.
func childMain(path string) error {
	l, err := Take(path)
	if err != nil {
		return err
	}
	if err := l.Write(run("child")); err != nil {
		return err
	}
	if os.Getenv("WITH_GRANDCHILD") != "" {
		sleep := exec.Command("sleep", "600")
		if err := sleep.Start(); err != nil {
			return err
		}
		fmt.Println("grandchild", sleep.Process.Pid)
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child is a process that has the lock.
type child struct {
	*exec.Cmd
	said []string
}

// startChild starts a process that locks the file, and waits until it has.
func startChild(t *testing.T, path string, env ...string) *child {
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{Cmd: exec.Command(self)}
	c.Env = append(append(os.Environ(), envChild+"="+path), env...)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = in.Close(); c.kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "locked" {
			return c
		}
		c.said = append(c.said, lines.Text())
	}
	require.FailNow(t, "the child did not lock the file", strings.Join(c.said, "\n"))
	return nil
}

func (c *child) kill() {
	_ = c.Process.Kill()
	_ = c.Wait()
}

func TestFirstRunFindsNobody(t *testing.T) {
	l := mustTake(t, path(t))
	require.Empty(t, past(t, l))
}

func TestWhoeverHasTheLockKnowsWhoHadItBefore(t *testing.T) {
	path := path(t)
	l := mustTake(t, path)
	require.NoError(t, l.Write(run("a")))
	require.NoError(t, l.Release())

	l = mustTake(t, path)
	require.Equal(t, []Run{run("a")}, past(t, l))
	require.NoError(t, l.Write(run("a"), run("b")), "a has not been dealt with")
	require.NoError(t, l.Release())

	l = mustTake(t, path)
	require.Equal(t, []Run{run("a"), run("b")}, past(t, l))
	require.NoError(t, l.Write(run("c")), "shorter than what was there")
	require.NoError(t, l.Release())
	require.Equal(t, []Run{run("c")}, past(t, mustTake(t, path)))
}

func TestOneOfTwoGetsTheLock(t *testing.T) {
	path := path(t)
	l := mustTake(t, path)
	require.NoError(t, l.Write(run("a")))
	_, err := Take(path)
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, "another engine of this process")
	require.NoError(t, l.Release())
	mustTake(t, path)
}

// TestLockOutlastsEverythingButItsProcess: a process that is stopped has the lock, one that was killed has not, and a child that it
// started and that lives on has not either.
func TestLockOutlastsEverythingButItsProcess(t *testing.T) {
	path := path(t)
	c := startChild(t, path, "WITH_GRANDCHILD=1")
	require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
	_, err := Take(path)
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, fmt.Sprintf("process %d, child of service svc", c.Process.Pid))
	c.kill()

	var sleeper int
	_, err = fmt.Sscanf(strings.Join(c.said, "\n"), "grandchild %d", &sleeper)
	require.NoError(t, err)
	defer func() { _ = syscall.Kill(sleeper, syscall.SIGKILL) }()
	require.NoError(t, syscall.Kill(sleeper, 0), "the grandchild lives")
	require.Equal(t, []Run{run("child")}, past(t, mustTake(t, path)))
}

// rewrite changes what is in the file.
func rewrite(t *testing.T, path string, change func(c *content)) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var c content
	require.NoError(t, json.Unmarshal(text, &c))
	change(&c)
	text, err = json.Marshal(c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

func TestNamesThatProveNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(t *testing.T, path string)
		why    string
	}{
		"of another boot, or of another host whose volume this is": {
			func(t *testing.T, path string) { rewrite(t, path, func(c *content) { c.Boot = "another" }) }, "another host"},
		"of another file, of which this is a copy": {
			func(t *testing.T, path string) { rewrite(t, path, func(c *content) { c.Inode++ }) }, "a copy"},
		"of another file system": {
			func(t *testing.T, path string) { rewrite(t, path, func(c *content) { c.Device++ }) }, "mounted again"},
		"cut off": {
			func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 40)) }, "cannot be read"},
		"of something else": {
			func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("1234\n"), 0o600)) }, "cannot be read"},
		"none": {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := path(t)
			l := mustTake(t, path)
			require.NoError(t, l.Write(run("a")))
			require.NoError(t, l.Release())
			tc.change(t, path)
			runs, why := mustTake(t, path).Past()
			require.Empty(t, runs)
			require.Contains(t, why, tc.why)
			require.Equal(t, tc.why == "", why == "")
		})
	}
}

// TestCopyOfALivingHoldersFileProvesNothing: the copy has the names, and its lock is free.
func TestCopyOfALivingHoldersFileProvesNothing(t *testing.T) {
	path := path(t)
	l := mustTake(t, path)
	require.NoError(t, l.Write(run("a")))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	copied := path + ".copy"
	require.NoError(t, os.WriteFile(copied, text, 0o600))
	runs, why := mustTake(t, copied).Past()
	require.Empty(t, runs)
	require.Contains(t, why, "a copy")
}

// TestReplacedFileProvesNothingAgainstTheLiving: two have a lock on one path, which is what deleting the file comes to, and neither
// is taken for gone.
func TestReplacedFileProvesNothingAgainstTheLiving(t *testing.T) {
	path := path(t)
	a := mustTake(t, path)
	require.NoError(t, a.Write(run("a")))
	require.NoError(t, os.Remove(path))
	b := mustTake(t, path)
	require.Empty(t, past(t, b))
	require.NoError(t, b.Write(run("b")))
	require.NoError(t, a.Write(run("a"), run("a2")), "into the file that was deleted")
	require.NoError(t, a.Release())
	require.NoError(t, b.Release())
	require.Equal(t, []Run{run("b")}, past(t, mustTake(t, path)))
}

func TestUnfitFiles(t *testing.T) {
	t.Run("others may write it", func(t *testing.T) {
		path := path(t)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, 0o622))
		_, err := Take(path)
		require.ErrorIs(t, err, ErrUnfit)
		require.ErrorContains(t, err, "chmod go-w")
	})
	t.Run("a file system that is not known", func(t *testing.T) {
		_, err := Take("/proc/self/comm")
		require.ErrorIs(t, err, ErrUnfit)
		require.ErrorContains(t, err, "0x9fa0")
	})
	t.Run("no folder", func(t *testing.T) {
		_, err := Take(filepath.Join(t.TempDir(), "none", "svc.lock"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := Take(t.TempDir())
		require.Error(t, err)
	})
}

// TestFullDisk: what cannot be written is not half there.
func TestFullDisk(t *testing.T) {
	path := path(t)
	l := mustTake(t, path)
	require.NoError(t, l.Write(run("a")))
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	limit := before
	limit.Cur = 64 // bytes; the kernel writes as many and then refuses, as on a full disk
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	err := l.Write(run("a"), run("b"))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	require.Error(t, err)
	require.NoError(t, l.Release())
	require.Empty(t, past(t, mustTake(t, path)))
}

func TestOnlyTheLastRunsAreKept(t *testing.T) {
	path := path(t)
	l := mustTake(t, path)
	var runs []Run
	for i := range maxRuns + 5 {
		runs = append(runs, run(fmt.Sprint(i)))
	}
	require.NoError(t, l.Write(runs...))
	require.NoError(t, l.Release())
	require.Equal(t, runs[5:], past(t, mustTake(t, path)))
}

// TestManyProcessesOneLock: whatever the order in which processes start and are killed, the next one finds exactly those before it.
func TestManyProcessesOneLock(t *testing.T) {
	path := path(t)
	for range 10 {
		c := startChild(t, path)
		_, err := Take(path)
		require.ErrorIs(t, err, ErrHeld)
		c.kill()
		l, err := Take(path)
		require.NoError(t, err)
		require.Equal(t, []Run{run("child")}, past(t, l))
		require.NoError(t, l.Write())
		require.NoError(t, l.Release())
	}
}
