// Package bar draws a progress bar on a terminal.
package bar
