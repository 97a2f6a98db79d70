package console

import (
	"net/url"
	"strconv"

	"github.com/streamlease/streamlease/scan"
)

// filter is what a list is limited to, as its form has it.
type filter struct {
	Partition string
	Reason    string
	Stream    string
}

// filterOf reads a filter from a query, and the selection that it means.
func filterOf(q url.Values) (f filter, sel scan.Selection, err error) {
	f = filter{Reason: valueOf(q, "reason"), Stream: valueOf(q, "stream")}
	p, chosen, err := partitionOf(q)
	if err != nil {
		return f, sel, err
	}
	if chosen {
		f.Partition, sel.Partitions = strconv.Itoa(p), []int{p}
	}
	sel.Reason, sel.Stream = f.Reason, f.Stream
	return f, sel, nil
}

// link returns the address of a page with this filter, from a cursor on.
func (f filter) link(page, cursor string) string {
	return link(page, "partition", f.Partition, "reason", f.Reason, "stream", f.Stream, "cursor", cursor)
}

// Any reports whether anything is limited.
func (f filter) Any() bool { return f != filter{} }
