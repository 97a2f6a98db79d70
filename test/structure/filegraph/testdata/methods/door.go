// Package methods has a cycle of two files because a method is declared apart from its type; a third stands aside.
package methods

type Door struct{ Open bool }

func (d *Door) Slam() { d.close() }
