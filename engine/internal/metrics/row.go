package metrics

import (
	"fmt"
	"slices"
)

// row is a metric, and all that is written about it.
type row struct {
	name string // without the namespace
	help string // one sentence, which a scrape shows too
	use  string // what it is for: when to look at it, or to alert
	more string // what else the documentation says
	part part   // who has it

	// Of a gauge.
	partition bool // it has the label partition
	combine   combine

	// Of a histogram.
	buckets []float64 // upper bounds
	native  bool      // also a native histogram

	// Set by add.
	kind   kind
	labels []*dimension // besides service and partition

	// Set by number.
	first int            // index of its first child among those of all rows of its kind
	named map[string]int // values of its first label
}

// kind is what a metric is to Prometheus.
type kind uint8

const (
	isCounter kind = iota
	isHistogram
	isGauge
	kinds = iota
)

// combine is how a gauge that several engines of one service have becomes one.
type combine uint8

const (
	sum      combine = iota + 1 // what each has of its own is added up
	greatest                    // what all see of the same thing is not
	fleet                       // greatest; one process of the fleet shows it, after measuring a partition
)

// part is what has a metric. Each part is registered by itself, so that a service has no series of what it does not use.
type part uint8

const (
	ofEngine part = iota
	ofFeed
	ofSchedule
	parts = iota
)

// tables are all metrics by part, in the order in which they were added.
var tables [parts][]*row

// children counts the children of the rows in each table, by kind.
var children [parts][kinds]int

// add appends a row to the table of its part.
func add(k kind, r row, labels ...*dimension) *row {
	r.kind, r.labels = k, labels
	tables[r.part] = append(tables[r.part], &r)
	return &r
}

// All rows have been added, and all labels have their values, once the variables of this package have theirs.
func init() {
	for _, table := range tables {
		for _, r := range table {
			r.number()
		}
	}
}

// number gives the children of a row the numbers that follow those of the rows before it.
func (r *row) number() {
	r.first, r.named = children[r.part][r.kind], make(map[string]int)
	if len(r.labels) > 0 {
		for i, v := range r.labels[0].values {
			if v.name != "" {
				r.named[v.name] = i
			}
		}
	}
	children[r.part][r.kind] += len(r.series())
}

// series returns the values of the labels of each child, in order; nil for a combination that does not exist.
func (r *row) series() [][]string {
	all := [][]string{{}}
	for _, l := range r.labels {
		var longer [][]string
		for _, values := range all {
			for _, v := range l.values {
				if values == nil || v.name == "" {
					longer = append(longer, nil)
					continue
				}
				longer = append(longer, append(slices.Clip(values), v.name))
			}
		}
		all = longer
	}
	return all
}

// at returns a child by the value of the first label. It panics for a value that is not in the table.
func (r *row) at(v int) child {
	if v < 0 || v >= len(r.labels[0].values) || r.labels[0].values[v].name == "" {
		panic(fmt.Sprintf("metrics: %s{%s} has no value %d", r.name, r.labels[0].name, v))
	}
	return child{r, v}
}

// names returns the names of all labels.
func (r *row) names() []string {
	names := []string{serviceLabel}
	if r.partition {
		names = append(names, "partition")
	}
	for _, l := range r.labels {
		names = append(names, l.name)
	}
	return names
}

// value is one value of a label. One without a name does not exist: a gap in a list that is indexed by a constant.
type value struct{ name, meaning string }

// dimension is a label with the values that it can have. Either about or the meanings of the values document it.
type dimension struct {
	name     string
	about    string
	values   []value
	unlisted bool // the documentation leaves the values out, since they are many
}

// label is a dimension whose values are indexed by L.
type label[L ~int | ~uint8] struct{ *dimension }

// newLabel returns a label whose values are made by value.
func newLabel[L ~int | ~uint8](name string) label[L] { return labelOf[L](dimension{name: name}) }

// labelOf returns a label with the values that it has, if their constants are declared elsewhere.
func labelOf[L ~int | ~uint8](d dimension) label[L] { return label[L]{&d} }

// value adds a value to a label, and returns what it is indexed by. Each value is a variable of this package. They are numbered from 0, in
// the order in which they are declared, since no other variable is initialized with one of them.
func (l label[L]) value(name, meaning string) L {
	l.values = append(l.values, value{name, meaning})
	return L(len(l.values) - 1)
}

// has reports whether v is a value of the label.
func (l label[L]) has(v L) bool { return int(v) < len(l.values) && l.values[v].name != "" }

// child is a row without labels, or with a value chosen for each.
type child struct {
	*row
	value int // of its labels; 0 without any
}

// index returns its number among the children of all rows of its kind.
func (c child) index() int { return c.first + c.value }

// Counter identifies one counter of an engine.
type Counter struct{ child }

// CounterBy is a counter with a label.
type CounterBy[L ~int | ~uint8] struct{ *row }

// CounterBy2 is a counter with two labels.
type CounterBy2[A, B ~int | ~uint8] struct{ *row }

// Histogram identifies one histogram of an engine.
type Histogram struct{ child }

// HistogramBy is a histogram with a label.
type HistogramBy[L ~int | ~uint8] struct{ *row }

// Gauge identifies a gauge: something that is measured when a scrape asks for it.
type Gauge struct{ child }

// GaugeBy is a gauge with a label.
type GaugeBy[L ~int | ~uint8] struct{ *row }

// With returns the gauge for a value of the label. A value that the table does not have panics.
func (g GaugeBy[L]) With(v L) Gauge { return Gauge{g.at(int(v))} }

// With returns the counter for a value of the label. A value that the table does not have panics.
func (c CounterBy[L]) With(v L) Counter { return Counter{c.at(int(v))} }

// With returns the counter for a value of each label. A value that the table does not have panics.
func (c CounterBy2[A, B]) With(a A, b B) Counter {
	first, second := c.at(int(a)), c.labels[1].values
	if int(b) >= len(second) {
		panic(fmt.Sprintf("metrics: %s{%s} has no value %d", c.name, c.labels[1].name, b))
	}
	return Counter{child{c.row, first.value*len(second) + int(b)}}
}

// With returns the histogram for a value of the label. A value that the table does not have panics.
func (h HistogramBy[L]) With(v L) Histogram { return Histogram{h.at(int(v))} }

func counter(r row) Counter { return Counter{child{row: add(isCounter, r)}} }

func counterBy[L ~int | ~uint8](r row, l label[L]) CounterBy[L] {
	return CounterBy[L]{add(isCounter, r, l.dimension)}
}

func counterBy2[A, B ~int | ~uint8](r row, a label[A], b label[B]) CounterBy2[A, B] {
	return CounterBy2[A, B]{add(isCounter, r, a.dimension, b.dimension)}
}

func histogram(r row) Histogram { return Histogram{child{row: add(isHistogram, r)}} }

func histogramBy[L ~int | ~uint8](r row, l label[L]) HistogramBy[L] {
	return HistogramBy[L]{add(isHistogram, r, l.dimension)}
}

func gauge(r row) Gauge { return Gauge{child{row: add(isGauge, r)}} }

func gaugeBy[L ~int | ~uint8](r row, l label[L]) GaugeBy[L] {
	return GaugeBy[L]{add(isGauge, r, l.dimension)}
}
