package main

import (
	"go/ast"
	"go/types"
	"math"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/structure/source"
	"github.com/streamlease/streamlease/wheel"
)

// optionStructs are the structs that options take, and how one of them is accepted or refused.
var optionStructs = map[string]func(field func(v reflect.Value)) error{
	"lease.Pipeline":         accepted(func(c lease.Pipeline) engine.Option { return engine.WithPipeline(c) }),
	"lease.Limits":           accepted(func(c lease.Limits) engine.Option { return engine.WithLimits(c) }),
	"scan.Config":            accepted(func(c scan.Config) engine.Option { return engine.WithRecovery(c) }),
	"wheel.Config":           accepted(func(c wheel.Config) engine.Option { return engine.WithWheel(c) }),
	"cluster.Config":         accepted(func(c cluster.Config) engine.Option { return engine.WithCluster(c) }),
	"cluster/notice.Config":  accepted(func(c notice.Config) engine.Option { return engine.WithMaintenance(c) }),
	"engine/balance.Config":  accepted(func(c balance.Config) engine.Option { return engine.WithBalance(c) }),
	"cluster/breaker.Config": accepted(func(c breaker.Config) engine.Option { return engine.WithBreaker(c) }),
	"scan.InspectorConfig": func(field func(reflect.Value)) error {
		var c scan.InspectorConfig
		field(reflect.ValueOf(&c).Elem())
		_, err := scan.NewInspector(unconnected{}, "orders", c)
		return err
	},
}

// unconnected is a client with which nothing is sent.
type unconnected struct{ rueidis.Client }

func (unconnected) Mode() rueidis.ClientMode { return rueidis.ClientModeStandalone }

func accepted[C any](option func(C) engine.Option) func(field func(reflect.Value)) error {
	return func(field func(reflect.Value)) error {
		var c C
		field(reflect.ValueOf(&c).Elem())
		_, err := engine.New(unconnected{}, "orders", option(c))
		return err
	}
}

var (
	saysDefault  = regexp.MustCompile(`\bDefault\b|get the(?:ir)? defaults\b`)
	saysZero     = regexp.MustCompile(`Default(?: and|, the) (?:zero\b|the zero value|""|nil\b)|Zero fields get the(?:ir)? defaults|, the zero time and`)
	saysNegative = regexp.MustCompile(`\b(?:No[A-Z]\w+, or negative|Negative):?`)
	saysNoLimit  = regexp.MustCompile(`\bNoLimit: `)
	saysLeast    = regexp.MustCompile(`\b(?:From \w|At\s+least \d)`)
)

// The rule is at engine.Option: zero is the default, negative is none where the comment says so and refused elsewhere, and NoLimit is
// accepted where the comment says so. Each field says what zero means, and what negative does or from where on it is valid.
func TestOptionsFollowTheirRule(t *testing.T) {
	for name, accept := range optionStructs {
		folder, typeName, _ := strings.Cut(name, ".")
		comments := fieldComments(t, folder, typeName)
		require.NoError(t, accept(func(reflect.Value) {}), "%s of zeros", name)
		for field, comment := range comments {
			t.Run(name+"."+field, func(t *testing.T) {
				require.Regexp(t, saysZero, comment, "what zero means")
				try := func(n int64) error {
					return accept(func(v reflect.Value) { v.FieldByName(field).SetInt(n) })
				}
				var kind reflect.Kind
				require.NoError(t, accept(func(v reflect.Value) { kind = v.FieldByName(field).Kind() }))
				if kind != reflect.Int && kind != reflect.Int64 {
					return
				}
				if saysNegative.MatchString(comment) {
					require.NoError(t, try(-1), "negative means none")
				} else {
					require.Regexp(t, saysLeast, comment, "the least value, or what negative means")
					require.Error(t, try(-1), "negative means nothing here")
				}
				if saysNoLimit.MatchString(comment) {
					require.NoError(t, try(math.MaxInt))
				}
			})
		}
	}
}

// Every option says what it does by default, and those that take something what zero means. Only what is on by default takes a bool.
func TestOptionCommentsSayTheirDefault(t *testing.T) {
	found := 0
	for _, d := range declarations(t, "engine") {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "With") {
			continue
		}
		found++
		name, comment := f.Name.Name, strings.Join(strings.Fields(f.Doc.Text()), " ")
		require.Regexp(t, saysDefault, comment, name)
		if parameters := f.Type.Params.List; len(parameters) == 1 {
			if taken := types.ExprString(parameters[0].Type); strings.HasSuffix(taken, ".Config") || taken == "lease.Pipeline" {
				require.Contains(t, optionPaths(), taken, "%s takes a struct that TestOptionsFollowTheirRule does not know", name)
			}
		}
		switch parameters := f.Type.Params.List; {
		case len(parameters) == 0:
		case types.ExprString(parameters[0].Type) == "bool":
			require.Contains(t, comment, "Default: true.", name)
		default:
			require.Regexp(t, saysZero, comment, name)
		}
	}
	require.Greater(t, found, 20)
}

// What options of durations and numbers do about negative values, which the comments say.
func TestOptionsRefuseNegativeValues(t *testing.T) {
	for name, option := range map[string]engine.Option{
		"WithPartitions": engine.WithPartitions(-1), "WithLeaseTTL": engine.WithLeaseTTL(-time.Second),
		"WithSessionTTL": engine.WithSessionTTL(-time.Second), "WithDrainTimeout": engine.WithDrainTimeout(-time.Second),
		"WithWorkers": engine.WithWorkers(-1), "WithReadBatch": engine.WithReadBatch(-1),
		"WithMaxParked": engine.WithMaxParked(-1), "WithReadMemory": engine.WithReadMemory(-1),
	} {
		_, err := engine.New(unconnected{}, "orders", option)
		require.Error(t, err, name)
	}
	_, err := engine.New(unconnected{}, "orders", engine.WithMaxStreams(engine.NoStreams))
	require.NoError(t, err)
}

// optionPaths returns the structs of optionStructs as the code of package engine names them.
func optionPaths() (names []string) {
	for name := range optionStructs {
		names = append(names, path.Base(name))
	}
	return names
}

// fieldComments returns the comments of the exported fields of a struct, as one line each.
func fieldComments(t *testing.T, folder, typeName string) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, d := range declarations(t, folder) {
		ast.Inspect(d, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != typeName {
				return true
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range field.Names {
					comments[name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
			return false
		})
	}
	require.NotEmpty(t, comments, "%s.%s", folder, typeName)
	return comments
}

func declarations(t *testing.T, folder string) (all []ast.Decl) {
	t.Helper()
	var found *source.Package
	for _, p := range library(t) {
		if short(p.Path) == folder {
			found = p
		}
	}
	require.NotNil(t, found, folder)
	for _, f := range found.Files {
		all = append(all, f.Decls...)
	}
	return all
}
