// Package version says which version of the repository a command was built from.
package version
