// Package readme checks the README and the documents in docs: programs and commands run as printed, code compiles, tables list every
// option, metric and file that exists, and each file and declaration that is named is there.
package readme
