package explain

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// Expr prints an expression; columns by their own names.
func Expr(e expr.Expr) string { return (&printer{}).expr(e) }

// Value prints a constant as SQL: 'text'::type, or a bare number.
func Value(t schemas.Type, v schemas.Value) string {
	if v.IsNull() {
		return "NULL::" + t.String()
	}
	s := string(pgtext.AppendTyped(nil, t, v))
	switch {
	case t.Kind == schemas.Bool:
		if v.Bool() {
			return "true"
		}
		return "false"
	case (t.Kind.IsInteger() || t.Kind == schemas.Numeric) && strings.Trim(s, "-0123456789.") == "":
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'::" + t.String()
}

// infix are the operators that stand between their arguments.
var infix = map[string]bool{"+": true, "-": true, "*": true, "/": true, "%": true, "=": true, "<>": true, "<": true,
	"<=": true, ">": true, ">=": true, "||": true, "~~": true, "~~*": true, "->": true, "->>": true,
	"is distinct from": true, "is not distinct from": true}

func (p *printer) expr(e expr.Expr) string {
	switch e := e.(type) {
	case *expr.Const:
		return Value(e.Typ, e.Value)
	case *expr.Column:
		if s := p.names[e.ID]; s != "" {
			return s
		}
		return ident(e.Name)
	case *expr.Param:
		return fmt.Sprintf("$%d", e.Index+1)
	case *expr.Call:
		return p.call(e)
	case *expr.Cast:
		if t := e.Arg.Type().Kind; e.Implicit && t.IsText() && e.Typ.Kind == schemas.Text && t != schemas.Char {
			return p.expr(e.Arg)
		}
		return p.operand(e.Arg) + "::" + e.Typ.String()
	case *expr.And:
		return p.chain(e.Args, " AND ")
	case *expr.Or:
		return p.chain(e.Args, " OR ")
	case *expr.Not:
		return "(NOT " + p.expr(e.Arg) + ")"
	case *expr.IsNull:
		if e.Negate {
			return "(" + p.expr(e.Arg) + " IS NOT NULL)"
		}
		return "(" + p.expr(e.Arg) + " IS NULL)"
	case *expr.In:
		return p.in(e)
	case *expr.Case:
		return p.caseOf(e)
	case *expr.Coalesce:
		return "COALESCE(" + p.list(e.Args) + ")"
	case *expr.Subquery:
		return "(SubPlan)"
	}
	return fmt.Sprintf("%T", e)
}

func (p *printer) call(e *expr.Call) string {
	switch {
	case infix[e.Func.Name] && len(e.Args) == 2:
		return "(" + p.expr(e.Args[0]) + " " + strings.ToUpper(e.Func.Name) + " " + p.expr(e.Args[1]) + ")"
	case e.Func.Name == "-" && len(e.Args) == 1:
		return "(- " + p.expr(e.Args[0]) + ")"
	}
	return e.Func.Name + "(" + p.list(e.Args) + ")"
}

// operand puts parentheses around what :: would not bind to.
func (p *printer) operand(e expr.Expr) string {
	s := p.expr(e)
	if _, ok := e.(*expr.Case); ok {
		return "(" + s + ")"
	}
	return s
}

func (p *printer) chain(args []expr.Expr, with string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = p.expr(a)
	}
	return "(" + strings.Join(out, with) + ")"
}

func (p *printer) list(args []expr.Expr) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = p.expr(a)
	}
	return strings.Join(out, ", ")
}

// maxShown is how many values of an IN list are printed.
const maxShown = 10

func (p *printer) in(e *expr.In) string {
	var out []string
	for i, v := range e.List {
		if i == maxShown {
			out = append(out, fmt.Sprintf("… %d more", len(e.List)-i))
			break
		}
		out = append(out, Value(schemas.Type{Kind: e.Arg.Type().Kind}, v))
	}
	if e.HasNull {
		out = append(out, "NULL")
	}
	word := " IN ("
	if e.Negate {
		word = " NOT IN ("
	}
	return "(" + p.expr(e.Arg) + word + strings.Join(out, ", ") + "))"
}

func (p *printer) caseOf(e *expr.Case) string {
	var b strings.Builder
	b.WriteString("CASE")
	for _, w := range e.Whens {
		fmt.Fprintf(&b, " WHEN %s THEN %s", p.expr(w.Cond), p.expr(w.Then))
	}
	if e.Else != nil {
		b.WriteString(" ELSE " + p.expr(e.Else))
	}
	return b.String() + " END"
}

// ident quotes a name that is not a plain lower-case identifier.
func ident(s string) string {
	for i, r := range s {
		if !(r >= 'a' && r <= 'z' || r == '_' || i > 0 && r >= '0' && r <= '9') {
			if s == "?column?" || s == "?order?" {
				return s
			}
			return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
	}
	return s
}
