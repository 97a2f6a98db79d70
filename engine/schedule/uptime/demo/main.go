package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// limit ends a run that hangs; a good one takes two minutes.
const limit = 5 * time.Minute

func main() {
	var o options
	flag.StringVar(&o.program, "uptime", "bin/uptime", "the program of the monitor")
	flag.IntVar(&o.monitors, "monitors", 1000, "how many monitors")
	flag.DurationVar(&o.every, "every", 15*time.Second, "interval of each")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the page; port 0: any that is free")
	flag.BoolVar(&o.stay, "stay", false, "go on until interrupted, with the page to look at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, o)
	stop()
	if err != nil {
		fmt.Println("FAILED:", err)
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

// say prints what happens, with the time since the start.
func say(began time.Time, format string, args ...any) {
	fmt.Printf("%5.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
