package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/streamlease/streamlease/api"
)

// Call makes an error of a panic of f. A f that ends its goroutine ends the caller's: see Finally.
func Call(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &api.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Finally calls f and then end with its error, whatever f does. A panic becomes an *api.PanicError and goes no further; so
// does an end of the goroutine (api.ErrGoexit), but that cannot be stopped: what comes after the call does not run.
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

// Recovered is the error of a function that did not return; v is what recover gave.
func Recovered(v any) error {
	if v == nil {
		v = api.ErrGoexit
	}
	return &api.PanicError{Value: v, Stack: debug.Stack()}
}

// Error is err if its methods can be called, else an error that says what they did. A typed nil that is returned as an
// error is the usual case.
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
