package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// publishLines is how many lines are announced at a time.
	publishLines = 4096
	// longestLine is more than the name of any stream that a service takes, in bytes.
	longestLine = 1 << 20
	// shownLines is how many lines that were refused are listed.
	shownLines = 10
)

// batchOfLines are some lines of the input.
type batchOfLines struct {
	names []string
	lines []int // their numbers
}

// lines announces a stream a line. Names that cannot be announced are refused one by one; what else goes wrong ends it.
func (p *publication) lines(ctx context.Context, in io.Reader) error {
	steps := p.steps("announced", 0)
	defer steps.end()
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, longestLine)
	line := 0
	var refused []error
	for more := true; more; {
		var b batchOfLines
		for len(b.names) < publishLines {
			if more = scanner.Scan(); !more {
				break
			}
			line++
			name := strings.TrimSuffix(scanner.Text(), "\r")
			if name == "" {
				continue
			}
			if err := p.publisher.Check(name); err != nil {
				if p.result.Refused++; p.result.Refused <= shownLines {
					refused = append(refused, fmt.Errorf("line %d: %w", line, err))
				}
				continue
			}
			b.names, b.lines = append(b.names, name), append(b.lines, line)
		}
		if err := p.batch(ctx, &b); err != nil {
			return errors.Join(append(refused, err)...)
		}
		steps.at(line, line, "%d streams, up to line %d", p.result.Published, line)
	}
	if n := p.result.Refused - shownLines; n > 0 {
		refused = append(refused, fmt.Errorf("%d more lines were refused", n))
	}
	if err := scanner.Err(); err != nil {
		refused = append(refused, fmt.Errorf("stdin ended at line %d: %w; go on from there", line+1, err))
	}
	if line == 0 && len(refused) == 0 {
		return nothing("there is no name on stdin")
	}
	return errors.Join(refused...)
}

// batch announces some lines.
func (p *publication) batch(ctx context.Context, b *batchOfLines) error {
	if p.cmd.Bool("dry-run") {
		p.result.Checked += len(b.names)
		return nil
	}
	entries, err := p.publisher.PublishMany(ctx, p.items(b.names)...)
	first, open := 0, 0
	for n, entry := range entries {
		p.count(entry, err)
		if entry == "" && err != nil {
			if open++; open == 1 {
				first = b.lines[n]
			}
		}
	}
	if err == nil {
		return nil
	}
	last := b.lines[len(b.lines)-1]
	return again(fmt.Errorf("%w\n%d of the lines %d to %d are not confirmed; later lines were not announced: go on from line %d", err, open, first, last, first))
}
