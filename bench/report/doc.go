// Package report is what measurements write: to the terminal as tables, figures and goals, as JSON, and as one HTML page of several
// measurements. It knows nothing of what was measured.
package report
