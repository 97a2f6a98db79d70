package generic

func use() int {
	a, b := make2[int]()
	a.push(1)
	b.push(2)
	return a.head + b.head
}

var _ = use
