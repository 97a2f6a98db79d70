package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/streamlease/streamlease/release/compat"
	"github.com/streamlease/streamlease/release/repository"
)

const usage = `release api               compares what the modules export with the last tag
release prepare v1.2.3    has the modules require each other in that version, and names it in CHANGELOG.md
release tags v1.2.3       lists the tags of that version, in the order in which they are pushed
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	root, err := repository.Find(here)
	if err != nil {
		return err
	}
	r, err := repository.Open(root)
	if err != nil {
		return err
	}
	switch name, n := flags.Arg(0), flags.NArg(); {
	case name == "api" && n == 1:
		return api(r, out)
	case name == "prepare" && n == 2:
		return r.Prepare(flags.Arg(1), time.Now())
	case name == "tags" && n == 2:
		for _, m := range r.Released() {
			fmt.Fprintln(out, m.Tag(flags.Arg(1)))
		}
		return nil
	}
	return fmt.Errorf("unknown arguments; usage:\n%s", strings.TrimSpace(usage))
}

func api(r *repository.Repository, out io.Writer) error {
	changes, err := compat.Since(r)
	if err != nil {
		return err
	}
	if changes.Last == "" {
		fmt.Fprintln(out, "nothing to compare with: no version is tagged here")
		return nil
	}
	fmt.Fprintf(out, "since %s: %d incompatible changes, %d others\n", changes.Last, len(changes.Incompatible), len(changes.Compatible))
	for _, line := range changes.Incompatible {
		fmt.Fprintln(out, "incompatible:", line)
	}
	for _, line := range changes.Compatible {
		fmt.Fprintln(out, "added:", line)
	}
	return changes.Refused()
}
