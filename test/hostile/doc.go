// Package hostile sends engines what no producer should send, on a real server, and checks where it ends up: a fuzz target, whose
// seeds run as tests. Nothing is lost, and nothing gets in the way of valid entries.
//
// An input takes half a second, most of it waiting: -parallel 16 runs more of them on the same machine.
package hostile
