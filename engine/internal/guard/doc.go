// Package guard calls code of the user, which may panic or end its goroutine, and makes an error of that: an *api.PanicError.
package guard
