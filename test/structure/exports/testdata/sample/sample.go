// Package sample exports one of everything.
package sample

import (
	"context"
	"io"
	"time"
)

type Mode uint8

const (
	Off Mode = iota
	On
	hidden
)

const Limit = 1 << 10

const Wait = 2 * time.Second

var ErrClosed error

var Hook func(ctx context.Context, name string) (n int, err error)

type Config struct {
	Mode  Mode `json:"mode"`
	Names map[string][]byte
	Each  func(name string, more ...int)
	Inner struct {
		A, B int
	}
	io.Reader
	secret int
}

func (c Config) Validate() error { return nil }

func (c *Config) Reset() { c.secret = int(hidden) }

func (c Config) unseen() {}

type Derived struct{ *base }

type base struct{}

func (base) Promoted(a, b string) {}

type Sealed interface {
	io.Closer
	Do(list ...[3]int) <-chan struct{}
	seal()
}

type Number interface{ ~int | ~float64 }

type List[K comparable, V Number] struct{ Head V }

func (l *List[Key, Val]) Push(k Key, v Val) *List[Key, Val] { return l }

type Short = List[string, int]

type Func[T any] func(v T) (T, error)

func Map[T any, U interface{ String() string }](in []T, f func(item T) U) (out []U) { return nil }

func internal(c Config) { c.unseen() }

var _ = internal
