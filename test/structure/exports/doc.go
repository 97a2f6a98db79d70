// Package exports lists what a package exports: one line for each declaration, field, method and constant, with types and
// the values of constants, and without the names of parameters, comments and anything else that no caller compiles against.
package exports
