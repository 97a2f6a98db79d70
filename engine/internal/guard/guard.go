package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/streamlease/streamlease/api"
)

// Call returns what f returns, or an *api.PanicError if f panics. An f that ends its goroutine ends the caller's: see Finally.
func Call(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &api.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Finally calls f and then, whatever f does, calls end with the error of f. A panic becomes an *api.PanicError and goes no
// further. An end of the goroutine becomes one, too (api.ErrGoexit), but cannot be stopped: what follows the call of Finally
// does not run.
func Finally(f func() error, end func(error)) {
	returned := false
	var err error
	defer func() {
		if !returned {
			err = Recovered(recover())
		}
		end(err)
	}()
	err = f()
	returned = true
}

// Recovered returns the error of a function that did not return; v is what recover returned.
func Recovered(v any) error {
	if v == nil {
		v = api.ErrGoexit
	}
	return &api.PanicError{Value: v, Stack: debug.Stack()}
}

// Error returns err if its methods can be called, else an *api.PanicError that names the type of err and what the method
// panicked with. The usual case is a typed nil that is returned as an error.
func Error(err error) error {
	if err == nil {
		return nil
	}
	failed := Call(func() error {
		_ = err.Error()
		_, _ = api.SnoozeDelay(err)
		_ = errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
		return nil
	})
	if panicked, _ := failed.(*api.PanicError); panicked != nil {
		return &api.PanicError{Value: fmt.Sprintf("a method of the error of type %T: %v", err, panicked.Value), Stack: panicked.Stack}
	}
	return err
}
