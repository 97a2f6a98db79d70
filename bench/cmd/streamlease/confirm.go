package main

import (
	"bufio"
	"fmt"
	"strings"
)

// confirm reports whether to go on with a change that the caller has described. It asks for word, unless the command line has -yes; with
// -dry-run it does not go on. An error means that the user did not confirm.
func (c *call) confirm(word string) (goOn bool, err error) {
	switch {
	case c.cmd.Bool("dry-run"):
		c.tell("Nothing was changed.")
		return false, nil
	case c.cmd.Bool("yes"):
		return true, nil
	}
	fmt.Fprintf(c.errs, "Enter %s to continue: ", visible(word))
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	if strings.TrimSpace(line) != word {
		return false, errRefused
	}
	return true, nil
}
