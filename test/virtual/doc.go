// Package virtual runs tests in virtual time.
package virtual
