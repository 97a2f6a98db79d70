package methods

func use(d *Door) { d.Slam() }

var _ = use
