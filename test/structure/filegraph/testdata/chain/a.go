// Package chain has files that use each other in one direction only.
package chain

func A() int { return B() + B() + c }
