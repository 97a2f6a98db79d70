// Package filegraph computes how the files of a package depend on each other, and which of them form cycles.
//
// A file depends on another if it uses anything declared there: a function, a type, a method, a field, a constant or a
// variable. A field that is embedded counts as used where something is reached through it. A method depends on the file
// that declares its receiver's type, so a type spread over several files usually makes a cycle of them. What a call
// through an interface runs in the end is not seen: it depends on the file that declares the interface.
package filegraph
