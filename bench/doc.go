// Package bench holds what shows and measures the library against real servers: the demo (demo) and the bench command (cmd/bench) with
// its measurements (suite, messages) and its soak (soak). It is a module of its own, so that whoever embeds the library gets none of its
// dependencies. Nothing here is shipped.
package bench
