package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/streamlease/streamlease/test/structure/filegraph"
	"github.com/streamlease/streamlease/test/structure/source"
)

func main() {
	edges := flag.Bool("edges", false, "print each edge with its number of uses")
	names := flag.Bool("names", false, "print each edge with its number of uses, and the names used")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./test/structure [-edges | -names] directory…")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	detail := filegraph.Summary
	if *edges {
		detail = filegraph.Edges
	}
	if *names {
		detail = filegraph.Names
	}
	for _, arg := range flag.Args() {
		if err := show(os.Stdout, arg, detail); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// show prints the package in a directory, or with /... all below it. The go command runs in that directory, so it may be
// in another module.
func show(w io.Writer, arg string, detail filegraph.Detail) error {
	dir, pattern := arg, "."
	if d, ok := strings.CutSuffix(filepath.ToSlash(arg), "/..."); ok {
		dir, pattern = d, "./..."
	}
	packages, err := source.Load(dir, pattern)
	if err != nil {
		return err
	}
	for _, p := range packages {
		if err := filegraph.Of(p).Print(w, detail); err != nil {
			return err
		}
	}
	return nil
}
