package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// single is what confirms the change of one item.
const single = "y"

// confirm reports whether to go on with a change that the caller has described. It asks for word, unless the command line has -yes; with
// -dry-run it does not go on. An error means that the user did not confirm, or that there is nobody to ask.
func (c *call) confirm(ctx context.Context, word string) (goOn bool, err error) {
	switch {
	case c.cmd.Bool("dry-run"):
		c.tell("Nothing was changed.")
		return false, nil
	case c.cmd.Bool("yes"):
		return true, nil
	case !c.screen(c.in).terminal:
		return false, fmt.Errorf("%w: there is no terminal to ask at; use -yes to do it, or -dry-run to see what it would do", errRefused)
	}
	fmt.Fprintf(c.errs, "Enter %s to continue: ", visible(word))
	answer := make(chan string, 1)
	go func() { // it ends with the input, or with the process: there is no way to stop it
		line, _ := bufio.NewReader(c.in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		if strings.TrimSpace(line) == word {
			return true, nil
		}
		return false, errRefused
	case <-ctx.Done():
		fmt.Fprintln(c.errs)
		return false, errRefused
	}
}
