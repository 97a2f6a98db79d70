package api

import "fmt"

// PanicError is what a panic in a handler becomes. The engine logs it with its
// stack, counts it, and treats it like an error that the handler returned, so
// that one broken stream does not take the process down.
type PanicError struct {
	// Value is what was given to panic, or ErrGoexit.
	Value any

	// Stack is the stack of the goroutine that panicked, as debug.Stack has
	// it. It is not part of the message.
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("streamlease: handler panicked: %v", e.Value)
}

// Unwrap is the value given to panic if that is an error, else nil: a panic
// with an error is judged like a return of that error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
