package exports_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/structure/exports"
	"github.com/streamlease/streamlease/test/structure/source"
)

const all = `
const Limit untyped int = 1024
const Off Mode = 0
const On Mode = 1
const Wait time.Duration = 2000000000
func Map[T any, U interface{String() string}]([]T, func(T) U) []U
method (*Config) Reset()
method (*List[K, V]) Push(K, V) *List[K, V]
method (Config) Read([]byte) (int, error)
method (Config) Validate() error
method (Derived) Promoted(string, string)
type Config struct
type Config struct, Each func(string, ...int)
type Config struct, Inner struct{A int; B int}
type Config struct, Mode Mode "json:\"mode\""
type Config struct, Names map[string][]byte
type Config struct, embeds io.Reader
type Derived struct
type Func[T any] func(T) (T, error)
type List[K comparable, V Number] struct
type List[K comparable, V Number] struct, Head V
type Mode uint8
type Number interface
type Number interface, embeds ~int | ~float64
type Sealed interface
type Sealed interface, Close() error
type Sealed interface, Do(...[3]int) <-chan struct{}
type Sealed interface, embeds io.Closer
type Sealed interface, sealed by unexported methods
type Short = List[string, int]
var ErrClosed error
var Hook func(context.Context, string) (int, error)
`

func TestAll(t *testing.T) {
	packages, err := source.Load("testdata/sample", ".")
	require.NoError(t, err)
	list := exports.Of(packages[0].Types, "module", exports.All)
	require.Equal(t, strings.TrimSpace(all), strings.Join(list.Lines, "\n"))
	require.Equal(t, []string{packages[0].Path + ".List"}, list.Mentions["type Short = List[string, int]"])
	require.Equal(t, []string{"time.Duration"}, list.Mentions["const Wait time.Duration = 2000000000"])
}

func TestOnly(t *testing.T) {
	packages, err := source.Load("testdata/sample", ".")
	require.NoError(t, err)
	only := exports.Only(packages[0].Types, "Mode", "List", "List.*", "Config.Reset", "ErrClosed")
	require.Equal(t, []string{
		"const Off Mode = 0",
		"const On Mode = 1",
		"method (*Config) Reset()",
		"method (*List[K, V]) Push(K, V) *List[K, V]",
		"type List[K comparable, V Number] struct",
		"type List[K comparable, V Number] struct, Head V",
		"type Mode uint8",
		"var ErrClosed error",
	}, exports.Of(packages[0].Types, "module", only).Lines)
}
