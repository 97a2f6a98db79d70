package servers

import (
	"os/exec"
	"syscall"
)

// startGuarded starts cmd so that the kernel kills it when the calling thread ends. For a locked thread that waits for cmd this
// means when this process ends, however it ends. A process group of its own keeps the interrupt key of a terminal from stopping
// the server before the program that uses it. The caller calls release after cmd has ended.
func startGuarded(cmd *exec.Cmd) (release func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return func() {}, cmd.Start()
}
