package suite

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// grid is a table whose first column says what, with its numbers to the right.
type grid struct{ table.Writer }

func newTable(heads ...any) grid {
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
	return grid{t}
}

// left aligns a column of words, counted from 1, to the left.
func (g grid) left(column int) {
	g.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: column, Align: text.AlignLeft, AlignHeader: text.AlignLeft},
	})
}

func (g grid) row(cells ...any) { g.AppendRow(cells) }

func (g grid) write(out io.Writer) {
	if rec, ok := out.(*recorder); ok {
		rec.table(g)
		return
	}
	fmt.Fprintln(out, g.Render())
}
