// Package poison makes entries that no producer should write to an input stream, and some do: malformed, huge, with many fields,
// with repeated fields, with this library's own fields. They are made from bytes, so that a fuzzer can vary them, and random
// bytes make a random mixture.
package poison
