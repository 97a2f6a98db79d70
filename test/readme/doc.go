// Package readme holds the README to what it says: its programs are run as they are printed there, and its tables name
// what there is.
package readme
