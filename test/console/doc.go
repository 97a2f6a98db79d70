// Package console lets tests send commands to a server as an operator at a command line would.
package console
