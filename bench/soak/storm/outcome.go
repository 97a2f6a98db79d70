package storm

import (
	"slices"

	"github.com/streamlease/streamlease/bench/report"
)

// maxErrors is how many logged errors are shown.
const maxErrors = 20

// Outcome is what troubles and processes came to.
type Outcome struct {
	Struck  map[string]int
	BadEnds []string // of processes that did not start or drain cleanly
	Errors  []string // that processes have logged
	Excused int      // starts and drains that failed while servers were in trouble
}

// Clean reports whether all processes started and drained cleanly, and logged no error.
func (o *Outcome) Clean() bool { return len(o.BadEnds)+len(o.Errors) == 0 }

// Rows adds how often each trouble struck to a table.
func (o *Outcome) Rows(t report.Table) {
	for _, name := range OnProcesses {
		t.Row("a process is "+name, report.Grouped(o.Struck[name]))
	}
	for _, name := range OnServers {
		t.Row("a server "+name, report.Grouped(o.Struck[name]))
	}
	for _, name := range ByItself {
		t.Row("a process or server "+name+" besides, the machine being busy", report.Grouped(o.Struck[name]))
	}
}

// Complaints are the bad ends, and the first of the errors.
func (o *Outcome) Complaints() []string {
	return slices.Concat(o.BadEnds, o.Errors[:min(len(o.Errors), maxErrors)])
}
