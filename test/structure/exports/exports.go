package exports

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// Filter reports whether a declaration is listed: a name of the package's scope, or for a method Type.Method.
type Filter func(name string) bool

// All lists everything.
func All(string) bool { return true }

// Only returns a Filter for these names. "Type" is a type with its fields, "Type.Method" a method, "Type.*" all of a
// type's methods. The constants of a type that is listed are listed, too.
func Only(pkg *types.Package, names ...string) Filter {
	return func(name string) bool {
		if slices.Contains(names, name) {
			return true
		}
		if t, _, isMethod := strings.Cut(name, "."); isMethod {
			return slices.Contains(names, t+".*")
		}
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok {
			if t, ok := c.Type().(*types.Named); ok && t.Obj().Pkg() == pkg {
				return slices.Contains(names, t.Obj().Name())
			}
		}
		return false
	}
}

// List is what a package exports.
type List struct {
	Lines    []string            // sorted
	Mentions map[string][]string // by line: the types it names, as path.Name
}

// Of lists the exported declarations of pkg that the filter lets pass. Paths below module are written without it.
func Of(pkg *types.Package, module string, listed Filter) *List {
	l := &lister{pkg: pkg, module: module, listed: listed, list: &List{Mentions: map[string][]string{}}}
	for _, name := range pkg.Scope().Names() {
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			l.object(obj)
		}
	}
	slices.Sort(l.list.Lines)
	return l.list
}

type lister struct {
	pkg    *types.Package
	module string
	listed Filter
	list   *List
}

// add formats a line from text and types.
func (l *lister) add(parts ...any) {
	w := &writer{pkg: l.pkg, module: l.module}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			w.WriteString(p)
		case types.Type:
			w.typ(p)
		case func(*writer):
			p(w)
		}
	}
	l.list.Lines = append(l.list.Lines, w.String())
	l.list.Mentions[w.String()] = w.mentions
}

func (l *lister) object(obj types.Object) {
	name := obj.Name()
	if _, isType := obj.(*types.TypeName); !isType && !l.listed(name) {
		return
	}
	switch obj := obj.(type) {
	case *types.Const:
		l.add("const ", name, " ", obj.Type(), " = ", obj.Val().ExactString())
	case *types.Var:
		l.add("var ", name, " ", obj.Type())
	case *types.Func:
		sig := obj.Signature()
		l.add("func ", name, func(w *writer) { w.params(sig.TypeParams()); w.signature(sig) })
	case *types.TypeName:
		l.typeName(obj)
	}
}

func (l *lister) typeName(obj *types.TypeName) {
	name := obj.Name()
	if a, ok := obj.Type().(*types.Alias); ok {
		if l.listed(name) {
			l.add("type ", name, func(w *writer) { w.params(a.TypeParams()) }, " = ", a.Rhs())
		}
		return
	}
	named := obj.Type().(*types.Named)
	head := func(w *writer) { w.WriteString(name); w.params(named.TypeParams()) }
	if l.listed(name) {
		switch u := named.Underlying().(type) {
		case *types.Struct:
			l.add("type ", head, " struct")
			l.fields(head, u)
		case *types.Interface:
			l.add("type ", head, " interface")
			l.members(head, u)
		default:
			l.add("type ", head, " ", u)
		}
	}
	if !types.IsInterface(named) {
		l.methods(named)
	}
}

func (l *lister) fields(head func(*writer), s *types.Struct) {
	for i := range s.NumFields() {
		f := s.Field(i)
		if !f.Exported() {
			continue
		}
		tag := ""
		if s.Tag(i) != "" {
			tag = fmt.Sprintf(" %q", s.Tag(i))
		}
		if f.Embedded() {
			l.add("type ", head, " struct, embeds ", f.Type(), tag)
		} else {
			l.add("type ", head, " struct, ", f.Name(), " ", f.Type(), tag)
		}
	}
}

// members lists all methods of an interface, those of embedded interfaces included, and what it embeds.
func (l *lister) members(head func(*writer), i *types.Interface) {
	sealed := false
	for m := range i.Methods() {
		if !m.Exported() {
			sealed = true
			continue
		}
		l.add("type ", head, " interface, ", m.Name(), func(w *writer) { w.signature(m.Signature()) })
	}
	if sealed {
		l.add("type ", head, " interface, sealed by unexported methods")
	}
	for t := range i.EmbeddedTypes() {
		l.add("type ", head, " interface, embeds ", t)
	}
}

// methods lists the method set of a pointer to the type, promoted methods included. Those of a generic type are written
// with the type's own parameters, whatever its methods call them.
func (l *lister) methods(named *types.Named) {
	var t types.Type = named
	if params := named.TypeParams(); params.Len() > 0 {
		args := make([]types.Type, params.Len())
		for i := range args {
			args[i] = params.At(i)
		}
		t, _ = types.Instantiate(nil, named, args, false) // fails only if it validates
	}
	byValue := types.NewMethodSet(t)
	for m := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		f := m.Obj()
		if !f.Exported() || !l.listed(named.Obj().Name()+"."+f.Name()) {
			continue
		}
		star := "*"
		if byValue.Lookup(f.Pkg(), f.Name()) != nil {
			star = ""
		}
		sig := m.Type().(*types.Signature)
		l.add("method (", star, t, ") ", f.Name(), func(w *writer) { w.signature(sig) })
	}
}
