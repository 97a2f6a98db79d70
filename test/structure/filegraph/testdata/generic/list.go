// Package generic has files that use an instantiated type, its methods and its fields.
package generic

type list[T any] struct{ head T }

func (l *list[T]) push(v T) { l.head = v }
