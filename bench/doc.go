// Package bench holds what shows and measures the library against real servers: the demo (demo) and the sizing suite
// (cmd/bench, with its subcommands in suite). It is a module of its own, so that who embeds the library gets none of what
// it requires. Nothing here is shipped.
package bench
