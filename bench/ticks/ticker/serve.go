package ticker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/notes"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/bench/ticks/fired"
)

// patience is how long schedules may take to be owned, which may be a million.
const patience = 10 * time.Minute

// model is what fires ticks.
type model interface {
	start(ctx context.Context) error
	held() int
	ended() <-chan error // with the error with which it ended by itself, or because of stop
	stop(ctx context.Context) error
}

// Serve is the process from inside. It executes commands, lines on in, and answers each with a line of JSON on out, an Answer:
//
//	await N       answers when N schedules are owned
//	look          answers at once
//	memory        answers after a garbage collection
//	idle          answers with nothing: what is in memory now does not count as memory
//	drain         hands everything back, and answers when that has ended
//	profile FILE  begins a profile of its processor time; without FILE, ends it
//
// It ends when in does or with a SIGTERM, and hands everything back first. When it cannot start, it answers so without being asked, and ends.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	encode := json.NewEncoder(out)
	s, err := begin(ctx, o)
	if err != nil {
		return encode.Encode(Answer{Error: err.Error()})
	}
	defer s.log.Close()
	lines, terminated := linesOf(in), make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	defer signal.Stop(terminated)
	for stalls := time.Tick(notes.StallStep); ; {
		select {
		case line, more := <-lines:
			if !more {
				return errors.Join(s.drain(ctx), s.profile.Turn(""))
			}
			if err := encode.Encode(s.execute(ctx, line)); err != nil {
				return err
			}
		case <-terminated:
			return s.drain(ctx)
		case <-stalls:
			if err := s.look(); err != nil {
				return err
			}
		case err := <-s.model.ended():
			return fmt.Errorf("ended by itself: %w", err)
		}
	}
}

// linesOf returns the lines of in, and closes the channel when in ends. The goroutine that reads them ends then, or with the process.
func linesOf(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- strings.TrimSpace(s.Text())
		}
	}()
	return lines
}

// server is a process from inside.
type server struct {
	options Options
	model   model
	log     fired.Log
	clock   time.Duration // how far the clock of the Redis server is ahead of ours
	ticks   atomic.Int64
	late    measure.Recorder
	before  int   // goroutines
	idle    int64 // memory
	profile measure.Profile
	stalls  notes.Stalls
	drained bool
}

func begin(ctx context.Context, o Options) (s *server, err error) {
	s = &server{options: o, before: runtime.NumGoroutine(), stalls: notes.Stalls{Session: o.SessionTTL}}
	opt, err := target.ChildOption()
	if err != nil {
		return nil, err
	}
	if s.clock, err = ahead(ctx, opt); err != nil {
		return nil, err
	}
	if o.Notes != "" {
		if s.log, err = fired.OpenLog(o.Notes); err != nil {
			return nil, err
		}
	}
	if opt.ClientName = o.Consumer; o.Model == Locked {
		s.model = &locked{server: s, option: opt}
	} else {
		s.model = &owned{server: s, option: opt}
	}
	s.idle = int64(measure.Memory())
	if err := s.model.start(ctx); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	return s, nil
}

// probes is how often the server is asked for its time. The answer that took the least counts.
const probes = 16

// ahead asks the server how far its clock is ahead of ours.
func ahead(ctx context.Context, opt rueidis.ClientOption) (d time.Duration, err error) {
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	least := time.Hour
	for range probes {
		began := time.Now()
		answer, err := client.Do(ctx, client.B().Time().Build()).AsIntSlice()
		took := time.Since(began)
		if err != nil || len(answer) != 2 {
			return 0, fmt.Errorf("asking the server for its time: %w", err)
		}
		if took < least {
			least, d = took, time.UnixMicro(answer[0]*1e6+answer[1]).Sub(began.Add(took/2))
		}
	}
	return d, nil
}

// tick takes in a tick that was due at that time, and returns how late it is.
func (s *server) tick(due time.Time) time.Duration {
	late := time.Since(due) + s.clock
	s.ticks.Add(1)
	s.late.Observe(late)
	return late
}

// look notes since when the process did not run, if it did not.
func (s *server) look() error {
	since, now, stood := s.stalls.Look()
	if !stood || s.options.Notes == "" {
		return nil
	}
	return s.log.Note(fired.Note{Kind: fired.Stalled, Nominal: int64(since), At: now})
}

func (s *server) drain(ctx context.Context) error {
	if s.drained {
		return nil
	}
	s.drained = true
	return s.model.stop(ctx)
}

func (s *server) execute(ctx context.Context, line string) (a Answer) {
	if err := s.answer(ctx, line, &a); err != nil {
		a.Error = err.Error()
	}
	return a
}

func (s *server) answer(ctx context.Context, line string, a *Answer) (err error) {
	command, argument, _ := strings.Cut(line, " ")
	switch command {
	case "drain":
		began := time.Now()
		err = s.drain(ctx)
		a.Took = time.Since(began)
		return err
	case "profile":
		return s.profile.Turn(argument)
	case "await":
		n, _ := strconv.Atoi(argument)
		if err := measure.Poll(ctx, patience, func() (bool, error) { return s.model.held() >= n, nil }); err != nil {
			return fmt.Errorf("%d of %d schedules are owned after %v", s.model.held(), n, patience)
		}
	case "idle":
		s.idle = int64(measure.Memory())
		return nil
	case "look", "memory":
	default:
		return fmt.Errorf("not a command: %q", command)
	}
	a.Held, a.Ticks, a.Late, a.Goroutines = s.model.held(), s.ticks.Load(), s.late.Read(), runtime.NumGoroutine()-s.before
	if a.CPU, err = measure.CPU(); err != nil {
		return err
	}
	if a.RSS, err = measure.RSS(); err != nil {
		return err
	}
	if command == "memory" {
		a.Memory = int64(measure.Memory()) - s.idle
	}
	return nil
}
