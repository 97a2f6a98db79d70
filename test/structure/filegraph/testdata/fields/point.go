// Package fields has files that use fields of a type which they do not name.
package fields

type point struct {
	x, y int
	next *point
}

func origin() *point { return &point{} }
