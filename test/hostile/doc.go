// Package hostile sends engines what no producer should send, on a real server, and looks where it ends: a fuzz target, whose
// seeds are tests. Nothing is lost and nothing is in the way of what is good.
//
// An input takes half a second, most of which engines wait for: -parallel 16 makes more of them on the same machine.
package hostile
