// Command structure prints how the files of a package depend on each other, and which of them form cycles:
//
//	go run ./test/structure [-edges | -names] ./engine ./bench/...
//
// Its tests hold two things about this repository: which files of a package may form a cycle, and what the public
// packages export.
package main
