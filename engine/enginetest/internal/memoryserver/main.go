package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "memoryserver:", err)
		os.Exit(1)
	}
}

// run serves until a signal or the command SHUTDOWN ends it.
func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.address)
	if errors.Is(err, syscall.EADDRINUSE) {
		// The words by which tests know that they have to take another port.
		return fmt.Errorf("cannot listen: Address already in use: %w", err)
	}
	if err != nil {
		return err
	}
	s := memory.New()
	s.Require(o.password)
	for name, value := range o.settings {
		if err := s.Configure(name, value); err != nil {
			return err
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	s.OnShutdown(func() { signals <- syscall.SIGTERM })
	go func() {
		<-signals
		l.Close()
	}()
	defer s.Close()
	return s.Serve(l)
}
