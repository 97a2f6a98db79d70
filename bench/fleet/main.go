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
)

// The services of a fleet.
const (
	service   = "shop"         // its streams are announced
	scheduled = "shop-reports" // its streams are schedules
)

// options are the flags.
type options struct {
	streams   int
	processes int
	schedules int
	listen    string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == child {
		if err := runChild(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "fleet: a process:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.streams, "streams", 10_000, "streams that the fleet owns all the time")
	flag.IntVar(&o.processes, "processes", 5, "processes that own them")
	flag.IntVar(&o.schedules, "schedules", 200, "schedules that tick every minute")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the console, for this host only unless you say otherwise: whoever reaches it may change the fleet")
	flag.Parse()
	if err := run(o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// run is the whole: everything that it started has ended when it returns.
func run(o options, in io.Reader, out io.Writer) error {
	if o.streams < 0 || o.processes < 1 || o.schedules < 0 {
		return fmt.Errorf("%d streams, %d processes, %d schedules: use 0 or more streams and schedules, and 1 or more processes", o.streams, o.processes, o.schedules)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := start(ctx, o)
	if err != nil {
		return err
	}
	err = f.play(ctx, in, out)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, f.close())
}
