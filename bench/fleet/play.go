package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

const help = `
  kill [NAME]   end a process as a crash does; its streams are owned by others after a session TTL, 10 s
  stop [NAME]   end one as a deploy does; its streams are owned by others at once
  start         start one more
  deploy        replace all, one after the other
  look          show what each holds
  quit          end everything
`

// play does what the input says, until it says quit or ends, or ctx does.
func (f *fleet) play(ctx context.Context, in io.Reader, out io.Writer) error {
	said := func(format string, args ...any) {
		fmt.Fprintf(out, time.Now().Format("15:04:05")+"  "+format+"\n", args...)
	}
	said("%d processes own %d streams of service %s, and %d schedules of service %s", len(f.members), f.streams, service, f.schedules, scheduled)
	said("redis:   %s", f.url())
	for _, m := range f.members {
		said("metrics: %s (%s)", m.metrics, m.name)
	}
	said("console: http://%s/%s/ and http://%s/%s/", f.console.addr(), service, f.console.addr(), scheduled)
	fmt.Fprint(out, help)
	// The reader may wait for a line for ever: it ends with the process.
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case line, more := <-lines:
			if !more {
				return nil
			}
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if words[0] == "quit" {
				return nil
			}
			if err := f.do(ctx, words, said); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				said("%v", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do is one line of the input.
func (f *fleet) do(ctx context.Context, words []string, said func(format string, args ...any)) error {
	name := strings.Join(words[1:], " ")
	switch words[0] {
	case "kill":
		name, err := f.kill(name)
		if err == nil {
			said("%s was killed", name)
		}
		return err
	case "stop":
		m, err := f.take(name)
		if err != nil {
			return err
		}
		if err := m.Terminate(); err != nil {
			return err
		}
		said("%s has ended", m.name)
	case "start":
		m, err := f.add(ctx)
		if err != nil {
			return err
		}
		said("%s has started; metrics: %s", m.name, m.metrics)
	case "deploy":
		return f.deploy(ctx, said)
	case "look":
		for _, m := range f.members {
			a, err := m.ask()
			if err != nil {
				return err
			}
			said("%s holds %d", m.name, a.Held)
		}
	default:
		return fmt.Errorf("%q is not a word that is known here:%s", words[0], help)
	}
	return nil
}
