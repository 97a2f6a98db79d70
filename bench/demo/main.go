package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// limit ends a run that hangs; a good one takes some 30 s.
const limit = 55 * time.Second

func main() {
	if text := os.Getenv(envChild); text != "" {
		os.Exit(childMain(text, os.Stdin, os.Stdout))
	}
	o := options{}
	flag.IntVar(&o.streams, "streams", 10_000, "data streams to own, half of them by each process")
	flag.DurationVar(&o.leaseTTL, "lease-ttl", 0, "TTL of a lease, which is renewed three times in it; 0: the default")
	flag.DurationVar(&o.sessionTTL, "session-ttl", 0, "TTL of a session, after which the death of a process is noticed; 0: the default")
	flag.DurationVar(&o.hold, "for", 10*time.Second, "how long to hold them before one process is killed")
	flag.Parse()
	os.Exit(run(o, os.Stdout, isTerminal(os.Stdout)))
}

// run is main with a status. Everything that it started has ended when it returns, interrupted or not.
func run(o options, out io.Writer, terminal bool) int {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	screen := newScreen(out, terminal)
	err := o.validate()
	if err == nil {
		err = demo(ctx, o, screen)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		screen.say("Interrupted: what was held is handed back, the server and the other process have ended, and nothing is left behind.")
		return 130
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("not finished after %v: %w", limit, err)
	}
	screen.say("FAILED: %v", err)
	return 1
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
