package methods

func (d *Door) close() { d.Open = false }
