// Package compat compares what the packages of two versions of a repository export, and says which version a change needs.
package compat
