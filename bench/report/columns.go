package report

import "io"

// Columns is a table with one column for each result, and one line for each figure of theirs.
type Columns[T any] struct {
	table   Table
	results []T
}

// NewColumns heads each column with head of its result. corner says what the heads are.
func NewColumns[T any](corner string, results []T, head func(T) any) Columns[T] {
	heads := []any{corner}
	for _, r := range results {
		heads = append(heads, head(r))
	}
	return Columns[T]{NewTable(heads...), results}
}

// Line adds one figure of all results.
func (c Columns[T]) Line(what string, figure func(T) any) {
	cells := []any{what}
	for _, r := range c.results {
		cells = append(cells, figure(r))
	}
	c.table.Row(cells...)
}

// Write writes the table to the output that Report.Write passes on.
func (c Columns[T]) Write(out io.Writer) { c.table.Write(out) }
