package pipelines

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

// maxFile bounds a pipeline file, in bytes.
const maxFile = 1 << 20

// document reads one file and gathers its problems.
type document struct {
	file  string
	lines []string
	env   func(string) (string, bool)
	errs  Errors
}

// value is a checked value: of its shape, variables replaced.
type value struct {
	pos    schemas.Pos
	text   string
	places []schemas.Pos // of each byte of text, and its end; nil when variables were replaced
	number int
	time   time.Duration
	list   []*value
	fields map[string]*value
}

func newDocument(file string, data []byte, env func(string) (string, bool)) *document {
	return &document{file: file, lines: strings.Split(string(data), "\n"), env: env}
}

// bad notes a problem.
func (d *document) bad(pos schemas.Pos, hint, format string, args ...any) *Problem {
	p := &Problem{File: d.file, Pos: pos, Hint: hint, Message: fmt.Sprintf(format, args...), Code: schemas.CodeInvalid}
	if pos.Known() && pos.Line <= len(d.lines) {
		line := strings.TrimRight(d.lines[pos.Line-1], "\r")
		p.Excerpt = hidePasswords(line)
		p.hidden = p.Excerpt != line
	}
	d.errs.Problems = append(d.errs.Problems, p)
	return p
}

// read parses the file against its keys. It returns nil when there is nothing to check.
func (d *document) read(data []byte) *value {
	if len(data) > maxFile {
		d.bad(schemas.Pos{}, "", "the file has %d bytes, at most %d are read", len(data), maxFile)
		return nil
	}
	if !utf8.Valid(data) {
		d.bad(schemas.Pos{}, "", "the file is not UTF-8")
		return nil
	}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var docs []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		d.bad(schemas.Pos{Line: 1, Column: 1}, "etl init writes one to begin with", "the file holds no pipeline")
		return nil
	case 1:
		return d.section(docs[0], fileKeys, "a pipeline")
	}
	d.bad(position(docs[1]), "put each pipeline in a file of its own", "the file holds %d documents", len(docs))
	return nil
}

func (d *document) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		d.bad(schemas.Pos{}, "", "not YAML: %v", err)
		return
	}
	p := y.GetToken().Position
	d.bad(schemas.Pos{Line: max(p.Line, 1), Column: max(p.Column, 1)}, "", "not YAML: %s", y.GetMessage())
}

func position(n ast.Node) schemas.Pos {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.LiteralNode:
		t = n.Start
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			t = n.Values[0].Key.GetToken()
		}
	}
	return schemas.Pos{Line: t.Position.Line, Column: max(t.Position.Column, 1)}
}

// mapping returns the entries of a mapping; ok is false for anything else.
func mapping(n ast.Node) (entries []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func (d *document) section(n ast.Node, keys []key, what string) *value {
	v := &value{pos: position(n), fields: map[string]*value{}}
	entries, ok := mapping(n)
	if !ok {
		d.bad(v.pos, "its keys are "+strings.Join(keyNames(keys), ", "), "%s is a mapping of keys to values", what)
		return v
	}
	seen := map[string]schemas.Pos{}
	for _, e := range entries {
		token := e.Key.GetToken()
		k, at := find(keys, token.Value), position(e)
		switch first, twice := seen[token.Value]; {
		case twice:
			d.bad(at, "", "key %q stands twice; first on line %d", token.Value, first.Line)
			continue
		case k == nil:
			d.bad(at, didYouMean(token.Value, keyNames(keys), "its keys are "), "unknown key %q in %s", token.Value, what)
			continue
		}
		seen[token.Value] = at
		if e.Value == nil || e.Value.Type() == ast.NullType {
			d.bad(at, "", "key %q has no value", k.name)
			continue
		}
		v.fields[k.name] = d.value(e.Value, k)
	}
	for _, k := range keys {
		if _, ok := seen[k.name]; k.required && !ok {
			d.bad(v.pos, k.about, "%s has no %q", what, k.name)
		}
	}
	return v
}

func find(keys []key, name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

// didYouMean suggests the nearest name, or lists all.
func didYouMean(name string, all []string, lead string) string {
	if s := suggest.Nearest(name, all); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	if len(all) == 0 {
		return ""
	}
	return lead + strings.Join(all, ", ")
}

func (d *document) value(n ast.Node, k *key) *value {
	switch k.shape {
	case section:
		return d.section(n, k.keys, "the section "+k.name)
	case sections:
		v := &value{pos: position(n)}
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			d.bad(v.pos, "begin each entry with a dash", "%s is a list", k.name)
			return v
		}
		for _, e := range list.Values {
			v.list = append(v.list, d.section(e, k.keys, "an entry of "+k.name))
		}
		return v
	case texts:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			one := d.scalar(n, k)
			return &value{pos: one.pos, list: splitList(one)}
		}
		v := &value{pos: position(n)}
		for _, e := range list.Values {
			v.list = append(v.list, d.scalar(e, k))
		}
		return v
	}
	return d.scalar(n, k)
}

// splitList reads a comma-separated text as a list.
func splitList(v *value) []*value {
	var out []*value
	at := 0
	for _, part := range strings.Split(v.text, ",") {
		lead := len(part) - len(strings.TrimLeft(part, " \t\n"))
		item := &value{text: strings.TrimSpace(part), pos: v.place(at + lead)}
		if item.text != "" {
			out = append(out, item)
		}
		at += len(part) + 1
	}
	return out
}

var nameText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

const nameHint = "at most 63 letters, digits, _ and -, a letter first"

func isName(text string) bool { return nameText.MatchString(text) && len(text) <= 63 }

// CheckName says whether a pipeline can have a name, with CodeInvalid.
func CheckName(pipeline string) error {
	if isName(pipeline) {
		return nil
	}
	e := schemas.Errorf(schemas.CodeInvalid, "42602", "%q cannot be the name of a pipeline", pipeline)
	e.Hint = nameHint
	return e
}

func (d *document) scalar(n ast.Node, k *key) *value {
	v := d.text(n, k.name)
	if v.text == "" {
		return v
	}
	switch k.shape {
	case name:
		if !isName(v.text) {
			d.bad(v.pos, nameHint, "%q cannot be a %s", v.text, k.name)
		}
	case number:
		i, err := strconv.Atoi(v.text)
		if v.number = i; err != nil || i < k.min || i > k.max {
			d.bad(v.pos, "", "%s is a whole number from %d to %d, not %q", k.name, k.min, k.max, v.text)
		}
	case duration:
		t, err := time.ParseDuration(v.text)
		if v.time = t; err != nil || t < 0 {
			d.bad(v.pos, "write a number and a unit: 500ms, 2s, 1m", "%s is a time, not %q", k.name, v.text)
		}
	}
	d.checkAllowed(v, k)
	return v
}

func (d *document) checkAllowed(v *value, k *key) {
	if k.allowed == nil {
		return
	}
	for _, a := range k.allowed {
		if v.text == a {
			return
		}
	}
	for _, l := range k.later {
		if v.text == l {
			d.bad(v.pos, "this version has "+strings.Join(k.allowed, ", "), "%s: %s is not supported yet", k.name, l).Code = schemas.CodeUnsupported
			return
		}
	}
	d.bad(v.pos, didYouMean(v.text, k.allowed, "one of "), "%s cannot be %q", k.name, v.text)
}
