// Package readme checks the README and the documents in docs: programs and commands run as printed, code compiles, links lead somewhere,
// figures have the commands that measure them, tables list every option, metric and file that exists, and each file and declaration that is
// named is there. An HTML comment before a block of code says what a reader knows and a test does not: "surrounded by:" and declarations that
// its code uses, or "run by" and the name of a test here that runs it.
package readme
