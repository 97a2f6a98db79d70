package report

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is a table whose first column names the lines. The other columns are numbers, aligned to the right.
type Table struct{ table.Writer }

// NewTable makes a table with one column for each head.
func NewTable(heads ...any) Table {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row(heads))
	var columns []table.ColumnConfig
	for n := range heads {
		if n > 0 {
			columns = append(columns, table.ColumnConfig{Number: n + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	return Table{t}
}

// Left aligns a column of words to the left. Columns are counted from 1.
func (t Table) Left(column int) {
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: column, Align: text.AlignLeft, AlignHeader: text.AlignLeft},
	})
}

// Row adds a line.
func (t Table) Row(cells ...any) { t.AppendRow(cells) }

// Write writes the table to the output that Report.Write passes on.
func (t Table) Write(out io.Writer) {
	if rec, ok := out.(*recorder); ok {
		rec.table(t)
		return
	}
	fmt.Fprintln(out, t.Render())
}
