package recovery

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	envChild    = "STREAMLEASE_RECOVERY_CHILD"
	childFailed = 4
)

// spec says what a child does.
type spec struct {
	Addr     string
	Name     string
	Journal  string
	Pages    int           // of the journal
	Lease    time.Duration // zero: the default
	Session  time.Duration // zero: the default
	Look     time.Duration // interval at which it notes what it owns
	Work     time.Duration // mean time that it works on a stream; zero: it keeps all streams
	Fails    float64       // share of the streams that it fails
	Releases float64       // share of the streams that it releases
	Killer   string        // stream that kills its owner at once
	Deadly   string        // text that kills a process that reads it from the input stream
	Most     int           // streams; zero: no limit
	Lock     string        // path of its lock file; empty: none
	Recovery scan.Config
}

// options returns the options of an engine for this spec.
func (s *spec) options() []engine.Option {
	return []engine.Option{
		engine.WithConsumerID(s.Name), engine.WithLeaseTTL(s.Lease), engine.WithSessionTTL(s.Session),
		engine.WithMaxStreams(s.Most), engine.WithRecovery(s.Recovery), engine.WithDrainTimeout(5 * time.Second),
		engine.WithLockFile(s.Lock),
	}
}

// childMain is the main function of a child. It ends after a line on standard input, or when that is closed.
func childMain(text string) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	j, err := journal.Open(s.Journal, s.Name, prefix, s.Pages)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			os.Exit(childFailed) // the parent is gone
		}
		stop()
	}()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var e *engine.Engine
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		e, err = engine.Open(rueidis.ClientOption{InitAddress: []string{s.Addr}, ForceSingleClient: true, DialCtxFn: s.dial}, service,
			append(s.options(), engine.WithLogger(logger))...)
		if err == nil {
			break
		}
		logger.Warn("connecting fails, will be retried as by a supervisor", "err", err)
	}
	go func() {
		for range time.Tick(s.Look) {
			j.Look()
		}
	}()
	err = e.Run(ctx, api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		if n.Stream == s.Killer {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if p := j.Add(n.Lease); p != nil && s.Work > 0 {
			s.work(n.Lease, p)
		}
		return nil
	}})
	return err
}

// work ends a stream after a random time.
func (s *spec) work(l api.Lease, p *journal.Page) {
	how, took := rand.Float64(), time.Duration(float64(s.Work)*rand.ExpFloat64())
	time.AfterFunc(min(took, 5*s.Work), func() {
		if !p.Extend(l) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		switch {
		case how < s.Fails:
			p.Is(journal.Given)
			_ = l.Fail(ctx, errors.New("at random"))
		case how < s.Fails+s.Releases:
			p.Is(journal.Given)
			_ = l.Release(ctx)
		default:
			p.Is(journal.Ending)
			if l.Done(ctx) == nil {
				p.Is(journal.Finished)
			}
		}
	})
}

// child is a process that runs an engine.
type child struct {
	spec
	h       *harness
	journal *journal.Journal
	process *os.Process
	stdin   io.WriteCloser
	log     string        // path
	ended   chan struct{} // closed when it has been waited for
	state   *os.ProcessState
	started time.Duration
}

// child starts a process. It is killed at the end of the test at the latest.
func (h *harness) child(s spec) *child {
	h.T.Helper()
	h.children++
	dir := h.dir
	if s.Addr == "" {
		s.Addr = h.server.Addr()
	}
	if s.Look == 0 {
		s.Look = 5 * time.Millisecond
	}
	if s.Pages == 0 {
		s.Pages = 100_000
	}
	run := fmt.Sprintf("%s-%d", s.Name, h.children)
	s.Journal = filepath.Join(dir, run+".journal")
	c := &child{spec: s, h: h, log: filepath.Join(dir, run+".log"), ended: make(chan struct{}), started: journal.Monotonic()}
	var err error
	c.journal, err = journal.Open(s.Journal, run, prefix, s.Pages)
	require.NoError(h.T, err)
	text, err := json.Marshal(s)
	require.NoError(h.T, err)
	self, err := os.Executable()
	require.NoError(h.T, err)
	log, err := os.Create(c.log)
	require.NoError(h.T, err)
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envChild+"="+string(text))
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	require.NoError(h.T, err)
	require.NoError(h.T, cmd.Start())
	c.process, c.stdin = cmd.Process, in
	go func() {
		_ = cmd.Wait()
		c.state = cmd.ProcessState
		close(c.ended)
	}()
	h.processes = append(h.processes, c)
	return c
}

// cleanUp ends a child at the end of a test.
func (c *child) cleanUp(t testing.TB) {
	c.kill()
	if t.Failed() {
		text, _ := os.ReadFile(c.log)
		t.Logf("log of %s, which held %d at the end:\n%s", c.journal.Party(), c.held(), text[max(0, len(text)-4000):])
	}
	_ = c.stdin.Close()
	require.NoError(t, c.journal.Close())
}

// kill sends SIGKILL, waits until the process is gone, and returns the time of the signal.
func (c *child) kill() (at time.Duration) {
	at = journal.Monotonic()
	_ = c.process.Kill()
	<-c.ended
	return at
}

func (c *child) pause()  { require.NoError(c.h.T, c.process.Signal(syscall.SIGSTOP)) }
func (c *child) resume() { require.NoError(c.h.T, c.process.Signal(syscall.SIGCONT)) }

// askToStop asks the child to drain and end.
func (c *child) askToStop() error {
	_, err := io.WriteString(c.stdin, "stop\n")
	return err
}

// stop lets the child drain and end, and returns its exit code.
func (c *child) stop() (code int) {
	require.NoError(c.h.T, c.askToStop())
	<-c.ended
	return c.state.ExitCode()
}

func (c *child) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// held returns how many streams the child owns according to its journal: those noted by its last few looks.
func (c *child) held() int {
	if c.gone() {
		return 0
	}
	return c.journal.Held(journal.Monotonic() - max(10*c.Look, time.Second))
}

// never changes a config so that it makes no dead letters.
func never(c scan.Config) scan.Config {
	c.MaxCrashes, c.MaxRetries = scan.NoLimit, scan.NoLimit
	return c
}
