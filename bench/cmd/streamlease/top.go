package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/streamlease/streamlease/scan"
)

// Of top.
const (
	defaultEvery = 2 * time.Second
	minEvery     = 100 * time.Millisecond
)

func (e *env) top() *cli.Command {
	return e.task(task{
		name: "top", usage: "watch processes: what each holds, what is fair, and what waits", do: top,
		flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "show it once"},
			&cli.DurationFlag{Name: "every", Value: defaultEvery, Usage: "time between two looks"},
			&cli.StringSliceFlag{Name: "metrics", Usage: "`URL` of the Prometheus metrics of a process, as http://pod:9090/metrics; may be repeated"},
		},
		check: func(c *cli.Command) error {
			if d := c.Duration("every"); d < minEvery {
				return usage("-every: %v is below %v", d, minEvery)
			}
			return nil
		},
		description: "HELD is what a process says it holds, up to some seconds ago; FAIR is its share by its weight, and OVER SINCE is since when it\n" +
			"holds too much. On a terminal the screen is drawn again every two seconds, until q or Ctrl-C; elsewhere tables follow each\n" +
			"other, and with -json lines. Nothing is counted entry by entry, so a look costs Redis three small scripts for each partition.\n\n" +
			"Renewals per second, how late they are, and how long the queues in front of handlers are is not in Redis: processes know it,\n" +
			"and tell it by their metrics. -metrics URL adds a line for each. Where there are many, Prometheus is the better place.",
	})
}

func top(ctx context.Context, c *call) error {
	inspector, err := c.inspect(scan.InspectorConfig{CountLimit: scan.NoCount})
	if err != nil {
		return err
	}
	k := &looker{call: c, inspector: inspector}
	if urls := c.cmd.StringSlice("metrics"); len(urls) > 0 {
		k.scraper = newScraper(c.service, urls, c.cmd.Duration("timeout"))
	}
	switch {
	case c.cmd.Bool("once"):
		return k.once(ctx)
	case !c.json && c.screen(c.out).terminal:
		return k.live(ctx)
	}
	return k.repeat(ctx)
}

// once shows one look. Rates need two, a second apart.
func (k *looker) once(ctx context.Context) error {
	if k.scraper != nil {
		k.scraper.look(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	l, err := k.look(ctx)
	if l == nil {
		return err
	}
	return cmp.Or(k.write(l), err)
}

// write writes a look: a line of JSON, or a table.
func (k *looker) write(l *look) error {
	if k.json {
		return k.line(l)
	}
	_, err := fmt.Fprintf(k.out, "%s\n\n", k.picture(l, nil))
	return err
}

// repeat writes one look after the other, until ctx ends.
func (k *looker) repeat(ctx context.Context) error {
	tick := time.NewTicker(k.cmd.Duration("every"))
	defer tick.Stop()
	for {
		l, err := k.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l == nil {
			return err
		}
		if err := k.write(l); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Of terminals.
const (
	enter = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leave = "\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	clear = "\x1b[J"
	wipe  = "\x1b[K"
)

// live draws one look over the other, until ctx ends or a key does it. What cannot be read is said, and tried again.
func (k *looker) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	restore, again := k.keys(ctx, cancel)
	defer restore()
	fmt.Fprint(k.out, enter)
	defer fmt.Fprint(k.out, leave)
	tick := time.NewTicker(k.cmd.Duration("every"))
	defer tick.Stop()
	for {
		before := k.last
		l, err := k.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l == nil {
			return err
		}
		k.draw(k.picture(l, before))
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-tick.C:
		}
	}
}

// keys reads what is typed, without waiting for the end of a line: it calls quit for q and Ctrl-C, and sends on again for anything else.
func (k *looker) keys(ctx context.Context, quit func()) (restore func(), again chan struct{}) {
	restore = func() {}
	if !k.screen(k.in).terminal {
		return restore, nil
	}
	if f, ok := k.in.(*os.File); ok {
		if state, err := term.MakeRaw(int(f.Fd())); err == nil {
			restore = func() { term.Restore(int(f.Fd()), state) }
		}
	}
	again = make(chan struct{})
	go func() { // it ends with the process, or the input: a read of a terminal cannot be interrupted
		for buffer := make([]byte, 1); ; {
			if _, err := io.ReadFull(k.in, buffer); err != nil {
				return
			}
			if strings.IndexByte("qQ\x03\x04", buffer[0]) >= 0 {
				quit()
				return
			}
			select {
			case again <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return restore, again
}

// draw puts a picture on the screen, as much of it as fits.
func (k *looker) draw(picture string) {
	size := k.screen(k.out)
	lines := strings.Split(picture, "\n")
	if len(lines) > size.height {
		more := len(lines) - size.height + 1
		lines = append(lines[:size.height-1], fmt.Sprintf("and %s: make the window higher, or use -once", counted(more, "more line")))
	}
	var b strings.Builder
	b.WriteString(home)
	for n, line := range lines {
		if n > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(text.Trim(line, size.width) + wipe)
	}
	b.WriteString(clear)
	fmt.Fprint(k.out, b.String())
}
