// Package measure reads what a run costs: commands as clients send them, processor time, heap, how late renewals are, and
// on which machine that was.
package measure
