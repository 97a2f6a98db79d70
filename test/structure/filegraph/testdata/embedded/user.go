package embedded

func use() int {
	o := fresh()
	o.Dig()
	dig := (*outer).Dig
	dig(o)
	return o.depth
}

var _ = use
