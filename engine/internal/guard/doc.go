// Package guard calls code of the user. That code may panic, or end its goroutine with runtime.Goexit; both become an
// *api.PanicError here.
package guard
