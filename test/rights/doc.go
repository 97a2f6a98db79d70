// Package rights runs engines, publishers and inspectors as a user with the rights in docs/acl.md and no others, records what
// they use, and takes each right away in turn to check that the preflight names it.
package rights
