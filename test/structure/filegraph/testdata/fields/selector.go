package fields

func sum() int {
	p := origin()
	return p.x + p.next.y
}

var _ = sum
