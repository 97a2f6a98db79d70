package exports

import (
	"fmt"
	"go/types"
	"strings"
)

// writer writes types as Go does, but names no parameters, and writes packages with their path.
type writer struct {
	strings.Builder
	pkg      *types.Package
	module   string
	mentions []string
}

func (w *writer) typ(t types.Type) {
	switch t := t.(type) {
	case *types.Basic:
		w.WriteString(t.Name())
	case *types.Alias:
		w.name(t.Obj())
		w.args(t.TypeArgs())
	case *types.Named:
		w.name(t.Obj())
		w.args(t.TypeArgs())
	case *types.TypeParam:
		w.WriteString(t.Obj().Name())
	case *types.Pointer:
		w.WriteString("*")
		w.typ(t.Elem())
	case *types.Slice:
		w.WriteString("[]")
		w.typ(t.Elem())
	case *types.Array:
		fmt.Fprintf(w, "[%d]", t.Len())
		w.typ(t.Elem())
	case *types.Map:
		w.WriteString("map[")
		w.typ(t.Key())
		w.WriteString("]")
		w.typ(t.Elem())
	case *types.Chan:
		w.WriteString(map[types.ChanDir]string{types.SendRecv: "chan ", types.SendOnly: "chan<- ", types.RecvOnly: "<-chan "}[t.Dir()])
		w.typ(t.Elem())
	case *types.Signature:
		w.WriteString("func")
		w.signature(t)
	case *types.Struct:
		w.structure(t)
	case *types.Interface:
		w.constraint(t)
	case *types.Union:
		for i := range t.Len() {
			w.separate(i, " | ")
			if t.Term(i).Tilde() {
				w.WriteString("~")
			}
			w.typ(t.Term(i).Type())
		}
	default:
		panic(fmt.Sprintf("exports: no notation for %T", t))
	}
}

// name writes a type's name, with the path of its package unless that is the one which is listed.
func (w *writer) name(obj *types.TypeName) {
	if p := obj.Pkg(); p != nil {
		w.mentions = append(w.mentions, p.Path()+"."+obj.Name())
		if p != w.pkg {
			w.WriteString(strings.TrimPrefix(p.Path(), w.module+"/") + ".")
		}
	}
	w.WriteString(obj.Name())
}

func (w *writer) args(list *types.TypeList) {
	if list.Len() == 0 {
		return
	}
	w.WriteString("[")
	for i := range list.Len() {
		w.separate(i, ", ")
		w.typ(list.At(i))
	}
	w.WriteString("]")
}

// params writes the parameters of a generic type or function.
func (w *writer) params(list *types.TypeParamList) {
	if list.Len() == 0 {
		return
	}
	w.WriteString("[")
	for i := range list.Len() {
		w.separate(i, ", ")
		w.WriteString(list.At(i).Obj().Name() + " ")
		w.typ(list.At(i).Constraint())
	}
	w.WriteString("]")
}

func (w *writer) signature(s *types.Signature) {
	w.WriteString("(")
	for i := range s.Params().Len() {
		w.separate(i, ", ")
		t := s.Params().At(i).Type()
		if slice, ok := t.(*types.Slice); ok && s.Variadic() && i == s.Params().Len()-1 {
			w.WriteString("...")
			t = slice.Elem()
		}
		w.typ(t)
	}
	w.WriteString(")")
	switch results := s.Results(); results.Len() {
	case 0:
	case 1:
		w.WriteString(" ")
		w.typ(results.At(0).Type())
	default:
		w.WriteString(" (")
		for i := range results.Len() {
			w.separate(i, ", ")
			w.typ(results.At(i).Type())
		}
		w.WriteString(")")
	}
}

func (w *writer) structure(s *types.Struct) {
	w.WriteString("struct{")
	for i := range s.NumFields() {
		w.separate(i, "; ")
		if f := s.Field(i); !f.Embedded() {
			w.WriteString(f.Name() + " ")
		}
		w.typ(s.Field(i).Type())
	}
	w.WriteString("}")
}

func (w *writer) constraint(t *types.Interface) {
	if t.IsImplicit() && t.NumEmbeddeds() == 1 {
		w.typ(t.EmbeddedType(0))
		return
	}
	w.WriteString("interface{")
	for i := range t.NumExplicitMethods() {
		w.separate(i, "; ")
		w.WriteString(t.ExplicitMethod(i).Name())
		w.signature(t.ExplicitMethod(i).Signature())
	}
	for i := range t.NumEmbeddeds() {
		w.separate(t.NumExplicitMethods()+i, "; ")
		w.typ(t.EmbeddedType(i))
	}
	w.WriteString("}")
}

func (w *writer) separate(i int, separator string) {
	if i > 0 {
		w.WriteString(separator)
	}
}
