// Package readme checks the README: its programs run as printed, and its tables list every option, metric and file that
// exists.
package readme
