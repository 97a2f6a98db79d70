// Package embedded has a file that reaches a method and a field through embedded types without naming any of these.
package embedded

type base struct{ depth int }

func (b *base) Dig() {}
