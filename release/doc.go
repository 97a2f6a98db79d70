// Command release prepares a release, and compares what the modules export with the last one. It publishes nothing.
//
// It is a module of its own and is not released itself, so that nobody else has to require what it works with.
package main
