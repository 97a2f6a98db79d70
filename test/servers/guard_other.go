//go:build unix && !linux

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// startGuarded starts cmd and, since the kernel has no signal for orphans, a shell that reads from a pipe to which only this
// process can write: when this process ends, however it ends, the read returns and the shell kills the server. Process groups
// of their own keep the interrupt key of a terminal from both. The caller calls release after cmd has ended.
func startGuarded(cmd *exec.Cmd) (release func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return func() {}, err
	}
	guard := exec.Command("/bin/sh", "-c", `read _; kill -KILL "$1"`, "guard", fmt.Sprint(cmd.Process.Pid))
	guard.Stdin = r
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = guard.Start()
	_ = r.Close()
	if err != nil {
		return func() { _ = w.Close() }, err
	}
	return func() {
		// Killed before the pipe ends, so that it never signals a process ID that may have been reused.
		_ = guard.Process.Kill()
		_ = guard.Wait()
		_ = w.Close()
	}, nil
}
