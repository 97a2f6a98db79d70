package memory

import (
	"fmt"
	"reflect"

	"github.com/yuin/gopher-lua/ast"
)

// evaluateFirst rewrites assignments to several names: Lua evaluates all values before it assigns one, gopher-lua does not, so that
// "a, b = b, a" makes them equal. a, b = x, y becomes do local v1, v2 = x, y; a, b = v1, v2 end.
func evaluateFirst(chunk []ast.Stmt) { evaluateFirstIn(reflect.ValueOf(chunk)) }

var statements = reflect.TypeFor[[]ast.Stmt]()

func evaluateFirstIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			evaluateFirstIn(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				evaluateFirstIn(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			evaluateFirstIn(v.Index(i))
			if v.Type() != statements {
				continue
			}
			if a, is := v.Index(i).Interface().(*ast.AssignStmt); is && len(a.Lhs) > 1 {
				v.Index(i).Set(reflect.ValueOf(evaluated(a)))
			}
		}
	}
}

func evaluated(a *ast.AssignStmt) ast.Stmt {
	values := &ast.LocalAssignStmt{Exprs: a.Rhs}
	assign := &ast.AssignStmt{Lhs: a.Lhs}
	for i := range a.Lhs {
		value := &ast.IdentExpr{Value: fmt.Sprintf("(value %d)", i+1)} // no name that a script can have
		value.SetLine(a.Line())
		value.SetLastLine(a.LastLine())
		values.Names = append(values.Names, value.Value)
		assign.Rhs = append(assign.Rhs, value)
	}
	block := &ast.DoBlockStmt{Stmts: []ast.Stmt{values, assign}}
	for _, node := range []ast.PositionHolder{values, assign, block} {
		node.SetLine(a.Line())
		node.SetLastLine(a.LastLine())
	}
	return block
}
