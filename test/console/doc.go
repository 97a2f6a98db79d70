// Package console lets tests ask a server by hand, as an operator with a command line would.
package console
