package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/test/journal"
)

const (
	// envChild makes this program the other process; its value is a childSpec.
	envChild = "STREAMLEASE_DEMO_CHILD"
	// reportEvery is how often the child reports its state.
	reportEvery = 100 * time.Millisecond
)

// childSpec is what the child is to do.
type childSpec struct {
	Addr       string
	Journal    string
	Streams    int // in all
	Most       int // of them that the child may own
	LeaseTTL   time.Duration
	SessionTTL time.Duration
}

// childMain is the main function of the other process. It hands back and ends after a line on its input, and ends at once when its input
// ends: then the parent is gone.
func childMain(text string, in io.Reader, out io.Writer) (status int) {
	// The interrupt key of a terminal reaches both processes. The parent handles it.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	if err := runChild(text, in, out); err != nil {
		fmt.Fprintln(os.Stderr, "the other process:", err)
		return 1
	}
	return 0
}

func runChild(text string, in io.Reader, out io.Writer) error {
	var s childSpec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
			os.Exit(1)
		}
		close(stop)
	}()
	server := rueidis.ClientOption{InitAddress: []string{s.Addr}, DisableCache: true, ForceSingleClient: true}
	o := options{streams: s.Streams, leaseTTL: s.LeaseTTL, sessionTTL: s.SessionTTL}
	p, err := startProcess(o, server, "child", s.Journal, s.Most)
	if err != nil {
		return err
	}
	encode := json.NewEncoder(out)
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := encode.Encode(p.report()); err != nil {
				return errors.Join(err, p.shutdown())
			}
		case <-stop:
			return p.shutdown()
		}
	}
}

// child is the other process, from outside.
type child struct {
	process *os.Process
	in      io.WriteCloser
	journal *journal.Journal
	last    atomic.Pointer[snapshot]
	ended   chan struct{} // closed after the process was waited for
	state   error         // how it ended; to be read after ended is closed
	killed  atomic.Bool
}

// startChild starts this program again, as the other process.
func startChild(s childSpec) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	c := &child{ended: make(chan struct{})}
	c.last.Store(new(snapshot))
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envChild+"="+string(text))
	cmd.Stderr = os.Stderr
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.journal, err = journal.Open(s.Journal, "child", prefix, 3*s.Streams); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, c.journal.Close())
	}
	c.process = cmd.Process
	go c.listen(cmd, out)
	return c, nil
}

// listen keeps the last report of the child, and waits for its end.
func (c *child) listen(cmd *exec.Cmd, out io.Reader) {
	for decode := json.NewDecoder(out); ; {
		r := new(snapshot)
		if err := decode.Decode(r); err != nil {
			break // it ended, perhaps in the middle of a report
		}
		c.last.Store(r)
	}
	c.state = cmd.Wait()
	close(c.ended)
}

// report is the last report of the child. A child that has ended holds nothing.
func (c *child) report() snapshot {
	r := *c.last.Load()
	select {
	case <-c.ended:
		r.Held = 0
		if !c.killed.Load() && r.Failure == "" {
			r.Failure = fmt.Sprintf("the other process has ended: %v", c.state)
		}
	default:
	}
	return r
}

// kill sends SIGKILL and waits for the end of the process. It returns when it sent that.
func (c *child) kill() (at time.Duration, err error) {
	c.killed.Store(true)
	at = journal.Monotonic()
	err = c.process.Kill()
	<-c.ended
	return at, err
}

// close has the child hand back and end, if it has not ended yet. It is called once.
func (c *child) close() error {
	defer c.in.Close()
	var err error
	if _, failed := io.WriteString(c.in, "stop\n"); failed == nil {
		timer := time.NewTimer(2 * drainTimeout)
		defer timer.Stop()
		select {
		case <-c.ended:
			err = c.state
		case <-timer.C:
			_, err = c.kill()
		}
	}
	<-c.ended
	if c.killed.Load() {
		err = nil // that was intended
	}
	return errors.Join(err, c.journal.Close())
}
