// Package rights runs engines, publishers and inspectors as a user with the rights that docs/ACL.md names and no others,
// watches what they use, and takes each right away in turn to see that the preflight names it.
package rights
