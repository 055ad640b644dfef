package parse

import (
	"github.com/millrace/millrace/schemas"
)

// The grammar's tree has no positions. The converter therefore walks it in the order
// of the text and claims, for each name, literal and operator it meets, the next
// token that can be it. As everything that can be claimed is claimed in order, the
// next token that fits is the right one; a test holds that no token is left over.

// reach bounds a search, so that a tree that does not fit its tokens (a bug) costs a
// wrong position and not time.
const reach = 2 * MaxNesting

// claim finds the next token that fits and moves behind it. When there is none the
// position is unknown and nothing moves.
func (c *converter) claim(fits func(*token) bool) schemas.Pos {
	for i := c.next; i < len(c.tokens) && i < c.next+reach; i++ {
		if fits(&c.tokens[i]) {
			for j := c.next; j < i; j++ {
				if k := c.tokens[j].class; k != other && k != keyword {
					c.missed++
				}
			}
			c.next = i + 1
			return c.tokens[i].at
		}
	}
	c.missed++
	return schemas.Pos{}
}

// name claims an identifier, which may be spelt like a keyword.
func (c *converter) name(s string) Ident {
	return Ident{Name: s, At: c.claim(func(t *token) bool {
		return (t.class == name || t.class == keyword) && t.value == s
	})}
}

// keyword claims one of the keywords.
func (c *converter) keyword(words ...string) schemas.Pos {
	return c.claim(func(t *token) bool {
		for _, w := range words {
			if t.is(w) {
				return true
			}
		}
		return false
	})
}

func (c *converter) class(k class) schemas.Pos {
	return c.claim(func(t *token) bool { return t.class == k })
}

// symbol claims an operator symbol.
func (c *converter) symbol(s string) schemas.Pos {
	return c.claim(func(t *token) bool {
		return t.class == operator && (t.raw == s || s == "<>" && t.raw == "!=")
	})
}

// peek returns the next token that is no bracket, comma or quantifier.
func (c *converter) peek() *token {
	for i := c.next; i < len(c.tokens) && i < c.next+reach; i++ {
		switch t := &c.tokens[i]; {
		case t.punct("("), t.punct(")"), t.punct(","), t.punct("]"), t.is("distinct"), t.is("all"):
		default:
			return t
		}
	}
	return &token{}
}

// ahead returns the index of the next token that has to be claimed: a name, a literal
// or an operator.
func (c *converter) ahead() int {
	for i := c.next; i < len(c.tokens) && i < c.next+reach; i++ {
		if k := c.tokens[i].class; k != other && k != keyword {
			return i
		}
	}
	return c.next
}

// aheadIs says whether the next name to be claimed is this one.
func (c *converter) aheadIs(word string) bool {
	i := c.ahead()
	return i < len(c.tokens) && c.tokens[i].class == name && c.tokens[i].value == word
}

// firstOf returns the first of some keywords that is still to come.
func (c *converter) firstOf(words ...string) string {
	for i := c.next; i < len(c.tokens); i++ {
		for _, w := range words {
			if c.tokens[i].is(w) {
				return w
			}
		}
	}
	return ""
}

// here is where the walk stands, for errors.
func (c *converter) here() schemas.Pos {
	if c.next < len(c.tokens) {
		return c.tokens[c.next].at
	}
	return endOf(c.tokens)
}

// firstClause is the place of the first keyword that ends a SELECT list.
func (c *converter) firstClause() schemas.Pos {
	for i := range c.tokens[1:] {
		switch t := &c.tokens[1+i]; {
		case t.class != keyword:
		case t.value == "from", t.value == "where", t.value == "group", t.value == "having", t.value == "order",
			t.value == "limit", t.value == "offset", t.value == "distinct", t.value == "union", t.value == "fetch":
			return t.at
		}
	}
	return schemas.Pos{Line: 1, Column: 1}
}

// afterSemicolon is the place of the second statement.
func (c *converter) afterSemicolon() schemas.Pos {
	seen := false
	for i := range c.tokens {
		if t := &c.tokens[i]; t.punct(";") {
			seen = i > 0
		} else if seen {
			return t.at
		}
	}
	return schemas.Pos{}
}
