// Package list has a list whose nodes are part of what is listed, so that a member takes no allocation of its own and is removed in one
// step. It is passive.
package list
