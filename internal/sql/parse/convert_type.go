package parse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

// typeKinds maps the names of types, as the grammar spells them, to kinds.
var typeKinds = map[string]schemas.Kind{
	"bool": schemas.Bool, "boolean": schemas.Bool,
	"int2": schemas.Int16, "smallint": schemas.Int16,
	"int4": schemas.Int32, "int": schemas.Int32, "integer": schemas.Int32,
	"int8": schemas.Int64, "bigint": schemas.Int64,
	"float4": schemas.Float32, "real": schemas.Float32,
	"float8":  schemas.Float64,
	"numeric": schemas.Numeric, "decimal": schemas.Numeric,
	"text": schemas.Text, "varchar": schemas.Varchar, "bpchar": schemas.Char, "character": schemas.Char,
	"bytea": schemas.Bytea, "date": schemas.Date, "time": schemas.Time,
	"timestamp": schemas.Timestamp, "timestamptz": schemas.TimestampTZ, "interval": schemas.Interval,
	"uuid": schemas.UUID, "jsonb": schemas.JSONB,
}

// TypeNamed returns the kind with a name that is written as one word: "int4", "text".
func TypeNamed(name string) (schemas.Kind, bool) {
	k, ok := typeKinds[name]
	return k, ok
}

// knownElsewhere are types that PostgreSQL has and the engine does not.
var knownElsewhere = map[string]bool{"json": true, "timetz": true, "money": true, "inet": true, "cidr": true,
	"xml": true, "bit": true, "varbit": true, "point": true, "oid": true, "name": true, "regclass": true, "char": true}

// typeAt converts a type name that begins at the walk's next token.
func (c *converter) typeAt(n *ast.TypeName) (schemas.Type, schemas.Pos) {
	for c.next < len(c.tokens) && c.tokens[c.next].class != name && !c.tokens[c.next].isTypeWord() {
		c.next++ // what stands between an argument and its type, or before a type
	}
	pos := c.here()
	names := items(n.Names)
	last, _ := names[len(names)-1].(*ast.String)
	if last == nil {
		c.refuse("this type is", pos)
	}
	quotedChar := last.SVal == "char" && c.next < len(c.tokens) && c.tokens[c.next].class == name
	c.claimType(names)
	if len(items(n.ArrayBounds)) > 0 || n.Setof || n.PctType {
		c.refuse("array types are", pos)
	}
	kind, ok := typeKinds[last.SVal]
	if !ok && last.SVal == "char" && !quotedChar {
		kind, ok = schemas.Char, true
	}
	if !ok && knownElsewhere[last.SVal] {
		c.refuse("type "+last.SVal+" is", pos)
	}
	if !ok {
		c.fail(unknownType(last.SVal, pos))
	}
	return c.modifiers(kind, n, pos), pos
}

// claimType moves behind the words of a type: the identifiers, or one keyword phrase.
func (c *converter) claimType(names []ast.Node) {
	if c.next >= len(c.tokens) {
		return
	}
	if c.tokens[c.next].class != name {
		for c.next < len(c.tokens) && c.tokens[c.next].isTypeWord() {
			c.next++
		}
		return
	}
	for i, n := range names {
		s, _ := n.(*ast.String)
		if s == nil || i == 0 && len(names) > 1 && c.tokens[c.next].value != s.SVal {
			continue
		}
		c.name(s.SVal)
	}
}

// typeWords are the keywords that make up type names.
var typeWords = map[string]bool{"bigint": true, "smallint": true, "int": true, "integer": true, "real": true, "float": true,
	"double": true, "precision": true, "numeric": true, "decimal": true, "dec": true, "boolean": true, "char": true,
	"character": true, "varying": true, "varchar": true, "national": true, "nchar": true, "bit": true, "text": true,
	"time": true, "timestamp": true, "with": true, "without": true, "zone": true, "interval": true, "json": true, "setof": true}

func unknownType(name string, pos schemas.Pos) error {
	e := &schemas.Error{Code: schemas.CodeType, SQLState: "42704", Pos: pos, Message: fmt.Sprintf("type %q does not exist", name)}
	all := slices.Sorted(maps.Keys(typeKinds))
	if s := suggest.Nearest(name, all); s != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", s)
	}
	return e
}

// modifiers applies (n) and (p,s).
func (c *converter) modifiers(kind schemas.Kind, n *ast.TypeName, pos schemas.Pos) schemas.Type {
	t := schemas.Type{Kind: kind}
	if kind == schemas.Interval {
		return t // see intervalFields
	}
	mods := c.typmods(n, pos)
	if len(mods) == 0 {
		if kind == schemas.Char && c.charWord() {
			t.Length = 1
		}
		return t
	}
	switch kind {
	case schemas.Numeric:
		t.Precision, t.Scale = c.precision(mods, pos)
	case schemas.Varchar, schemas.Char:
		if mods[0] < 1 || mods[0] > 10485760 || len(mods) > 1 {
			c.badModifier(pos, "the length of %s must be between 1 and 10485760", kind)
		}
		t.Length = int32(mods[0])
	case schemas.Timestamp, schemas.TimestampTZ, schemas.Time:
		if mods[0] != 6 {
			c.refuse(fmt.Sprintf("%s with a precision other than 6 is", kind), pos)
		}
	default:
		c.badModifier(pos, "type modifier is not allowed for type %s", kind)
	}
	return t
}

func (c *converter) badModifier(pos schemas.Pos, format string, args ...any) {
	c.fail(&schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// typmods reads the numbers in parentheses after a type.
func (c *converter) typmods(n *ast.TypeName, pos schemas.Pos) []int {
	var mods []int
	for _, m := range items(n.Typmods) {
		k, ok := m.(*ast.A_Const)
		var v *ast.Integer
		if ok {
			v, ok = k.Val.(*ast.Integer)
		} else {
			v, ok = m.(*ast.Integer)
		}
		if !ok {
			c.fail(&schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Pos: pos, Message: "type modifiers must be whole numbers"})
		}
		if c.next < len(c.tokens) && (c.tokens[c.next].punct("(") || len(mods) > 0) { // else it is not written
			c.class(number)
		}
		mods = append(mods, v.IVal)
	}
	return mods
}

// precision checks the modifiers of numeric.
func (c *converter) precision(mods []int, pos schemas.Pos) (precision, scale int16) {
	p, s := mods[0], 0
	if len(mods) > 1 {
		s = mods[1]
	}
	if p < 1 || p > 1000 || len(mods) > 2 {
		c.badModifier(pos, "NUMERIC precision %d must be between 1 and 1000", p)
	}
	if s < -1000 || s > 1000 {
		c.badModifier(pos, "NUMERIC scale %d must be between -1000 and 1000", s)
	}
	if s < 0 || s > p {
		c.refuse("a NUMERIC scale outside 0 and the precision is", pos)
	}
	return int16(p), int16(s)
}

// charWord says whether the type just read was spelt char or character: that is one
// character long, where bpchar has no limit.
func (c *converter) charWord() bool {
	if c.next == 0 {
		return false
	}
	t := &c.tokens[c.next-1]
	return t.is("char") || t.is("character") || t.is("nchar")
}

// intervalBits are the typmod bits of single interval fields.
var intervalBits = map[int]string{4: "year", 2: "month", 8: "day", 1024: "hour", 2048: "minute", 4096: "second"}

// intervalFields applies the field of INTERVAL '90' DAY to a literal that is only a
// number; other restrictions of interval are refused.
func (c *converter) intervalFields(n *ast.TypeName, lit *Literal) {
	mods := items(n.Typmods)
	names := items(n.Names)
	if len(mods) == 0 || names[len(names)-1].(*ast.String).SVal != "interval" {
		return
	}
	bits, _ := mods[0].(*ast.Integer)
	if k, ok := mods[0].(*ast.A_Const); ok {
		bits, _ = k.Val.(*ast.Integer)
	}
	field := ""
	if bits != nil && len(mods) == 1 {
		field = intervalBits[bits.IVal]
	}
	if field == "" || lit == nil || strings.Trim(lit.Text, " +-0123456789") != "" || strings.Trim(lit.Text, " +-") == "" {
		c.refuse("INTERVAL with this field or precision is", schemas.Pos{})
	}
	c.keyword(field)
	lit.Text += " " + field
}
