package servers

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// ErrNoClock is returned if a server cannot have a clock of its own here. The error that wraps it says what is missing.
var ErrNoClock = errors.New("servers: no clock of its own for a server")

//go:embed preload/clock.c
var clockSource []byte

const (
	envClock  = "STREAMLEASE_CLOCK" // what clock.c reads
	clockFile = "clock"
	clockSize = 16 // bytes of the file
)

// clockEnv returns the environment in which a file in dir moves the clock of a server. It compiles a library for that, and creates
// the file if it does not exist.
func clockEnv(ctx context.Context, dir string) ([]string, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w: it needs Linux, and this is %s", ErrNoClock, runtime.GOOS)
	}
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		return nil, fmt.Errorf("%w: it needs a C compiler (%w): install one with `apt-get install gcc libc6-dev`, or set CC", ErrNoClock, err)
	}
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	if text, err := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w\n%s", ErrNoClock, compiler, err, text)
	}
	path := filepath.Join(dir, clockFile)
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, make([]byte, clockSize), 0o600); err != nil {
			return nil, fmt.Errorf("servers: %w", err)
		}
	}
	return []string{"LD_PRELOAD=" + library, envClock + "=" + path}, nil
}

// SetClock sets how far the server's wall clock, by which keys expire, is ahead of the machine's, or behind it if negative. The
// setting survives restarts. The server must have been started with [Options.OwnClock].
func (s *Server) SetClock(ahead time.Duration) error { return s.writeClock(ahead.Microseconds(), 0) }

// FreezeClock has the server's wall clock stand still at a time after 1970, to the microsecond, until another call of it or of
// SetClock. The setting survives restarts. The server must have been started with [Options.OwnClock].
func (s *Server) FreezeClock(at time.Time) error { return s.writeClock(0, at.UnixMicro()) }

func (s *Server) writeClock(ahead, still int64) error {
	if !s.opts.OwnClock {
		return fmt.Errorf("%w: it was started without OwnClock", ErrNoClock)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, clockFile), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("servers: %w", err)
	}
	// One write of two words: a process that has mapped the file never sees half of one.
	words := binary.NativeEndian.AppendUint64(nil, uint64(ahead))
	_, err = f.Write(binary.NativeEndian.AppendUint64(words, uint64(still)))
	return errors.Join(err, f.Close())
}

// checkClock detects a server that ignores the library, as a statically linked one does.
func (s *Server) checkClock(ctx context.Context) error {
	const far = time.Hour
	if err := s.SetClock(far); err != nil {
		return err
	}
	text, err := s.Call(ctx, "EVAL", "return redis.call('TIME')[1]", "0")
	if err = errors.Join(err, s.SetClock(0)); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if ahead := time.Until(time.Unix(seconds, 0)); err != nil || ahead < far/2 {
		return fmt.Errorf("%w: %s ignores the preloaded library", ErrNoClock, s.binary)
	}
	return nil
}
