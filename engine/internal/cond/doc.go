// Package cond has a condition variable whose waiters can be cancelled by a context.
//
// Unlike [sync.Cond] it guards nothing: whoever changes what is waited for does so under a lock of its own, or atomically, and
// calls Broadcast afterwards.
package cond
