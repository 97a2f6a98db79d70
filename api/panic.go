package api

import "fmt"

// PanicError is the error that a panic in a handler becomes. The engine logs it
// with its stack, counts it, and treats it like an error that the handler
// returned, so that one bad stream does not take the process down.
type PanicError struct {
	// Value is the value passed to panic, or ErrGoexit.
	Value any

	// Stack is the stack of the goroutine that panicked, as returned by
	// debug.Stack. It is not part of the message.
	Stack []byte
}

// Error returns a message with the value, and without the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("streamlease: handler panicked: %v", e.Value)
}

// Unwrap returns the value passed to panic if that is an error, else nil: a
// panic with an error counts like a return of that error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
