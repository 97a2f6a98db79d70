// Package source loads packages of this repository: parsed, type-checked, without their tests.
//
// It asks the go command for export data of what they import, as the compiler left it in the build cache. That takes a
// fraction of the time that checking every dependency from its source would take, and needs no module of its own.
package source
