// Package poison makes entries of an input stream as nobody should write them, and as somebody does: malformed, huge, wide, with
// fields twice and by the thousand, with this library's own fields. They are made from bytes, so that a fuzzer can vary them,
// and random bytes make a random mixture.
package poison
