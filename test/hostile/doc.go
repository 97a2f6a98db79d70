// Package hostile sends engines what no producer should send, on a real server, and looks where it ends: a fuzz target, whose
// seeds are tests. Nothing is lost and nothing is in the way of what is good.
package hostile
