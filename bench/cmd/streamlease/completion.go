package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
)

// completing is what a shell appends to a command line that is to be completed.
const completing = "--generate-shell-completion"

// What looking for services may cost: somebody waits at the keyboard, and so do those whom the server serves.
const (
	completionTime  = 500 * time.Millisecond
	completionScans = 50
	completionKeys  = 1000
)

// completeService writes the names of services if that is what a shell asks for: the value of -service. Commands and flags are completed
// by the library.
func (e *env) completeService(ctx context.Context, args []string) bool {
	n := len(args)
	if n < 3 || args[n-1] != completing || strings.TrimLeft(args[n-2], "-") != "service" || !strings.HasPrefix(args[n-2], "-") {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	for _, name := range servicesAt(ctx, urlIn(ctx, args)) {
		fmt.Fprintln(e.out, visible(name))
	}
	return true
}

// urlIn returns the URL of Redis on a command line that is not complete.
func urlIn(ctx context.Context, args []string) (url string) {
	line := []string{"streamlease"}
	for n, arg := range args {
		switch name, _, more := strings.Cut(strings.TrimLeft(arg, "-"), "="); {
		case name != "redis" || !strings.HasPrefix(arg, "-"):
		case more:
			line = append(line, arg)
		case n+1 < len(args):
			line = append(line, arg, args[n+1])
		}
	}
	c := &cli.Command{Flags: []cli.Flag{address.Flag()}, Action: func(_ context.Context, c *cli.Command) error {
		url = address.Of(c, address.Default)
		return nil
	}}
	_ = c.Run(ctx, line)
	return url
}

// servicesAt returns the services at a Redis, as far as they are found at once. Whatever fails, nothing is completed.
func servicesAt(ctx context.Context, url string) []string {
	client, err := connect(url)
	if err != nil {
		return nil
	}
	defer client.Close()
	found := make(map[string]bool)
	for _, node := range client.Nodes() {
		cursor := uint64(0)
		for range completionScans {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match("{*-input}:meta").Count(completionKeys).Build()).AsScanEntry()
			if err != nil {
				break // of a replica, too, which has the same keys
			}
			for _, key := range page.Elements {
				found[strings.TrimSuffix(strings.TrimPrefix(key, "{"), "-input}:meta")] = true
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
