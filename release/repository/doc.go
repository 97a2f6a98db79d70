// Package repository knows the modules of a repository that is tied together by a workspace: what a release changes in them, and what
// a proxy of modules serves of them once they are tagged.
package repository
