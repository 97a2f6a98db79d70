//go:build unix && !linux

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// startGuarded starts cmd and, where the kernel has no signal for orphans, a shell that reads from a pipe which only
// this process can write to: when this process ends, however it ends, the read returns and the shell kills the server.
// A process group of its own keeps the interrupt key of a terminal from either. release is called after cmd has ended.
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
		// Killed before its pipe ends, so that it never signals a number that may have been given away.
		_ = guard.Process.Kill()
		_ = guard.Wait()
		_ = w.Close()
	}, nil
}
