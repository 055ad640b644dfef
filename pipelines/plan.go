package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sort"
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
	"github.com/millrace/millrace/transform"
)

// Plan is a pipeline over the tables of its source: what to capture, how to map it,
// what to write.
type Plan struct {
	// Pipeline is what to register with the warehouse: name, version, outputs.
	Pipeline load.Pipeline
	// Tables map captured tables to outputs, in the order of the source.
	Tables []*transform.Table
	// Captured are the source tables of Tables.
	Captured []*schemas.Table
	// NeedsBefore holds the full names of the tables whose updates must come with
	// their old rows.
	NeedsBefore map[string]bool
	// Notices are for people to know: tables loaded append-only.
	Notices []string
}

// NewPlan plans a pipeline over the tables that its source has. full holds the names
// of the tables for which PostgreSQL sends whole old rows (REPLICA IDENTITY FULL);
// it is not asked for other sources. The error is an *Errors.
func NewPlan(s *Spec, tables []*schemas.Table, full map[string]bool) (*Plan, error) {
	p := &planner{spec: s, doc: s.doc.fresh(), full: full, byName: map[string]*schemas.Table{},
		plan: &Plan{NeedsBefore: map[string]bool{}}, outputs: map[string]*Transform{}}
	for _, t := range tables {
		p.byName[t.FullName()] = t
	}
	p.capture(tables)
	entries := p.entries()
	for _, t := range p.plan.Captured {
		p.table(t, entries[t.FullName()])
	}
	if err := p.doc.errs.orNil(); err != nil {
		return nil, err
	}
	p.plan.Pipeline = load.Pipeline{Name: s.Pipeline, Source: s.Source.Name, Version: p.version()}
	for _, t := range p.plan.Tables {
		p.plan.Pipeline.Outputs = append(p.plan.Pipeline.Outputs, load.Output{Table: t.Output, Source: t.Source.FullName()})
	}
	return p.plan, nil
}

// planner gathers a plan and its problems.
type planner struct {
	spec    *Spec
	doc     *document
	full    map[string]bool
	byName  map[string]*schemas.Table
	plan    *Plan
	outputs map[string]*Transform // by output table
}

// fresh is the document without the problems of reading it.
func (d *document) fresh() *document {
	return &document{file: d.file, lines: d.lines, env: d.env}
}

// tableNames are the tables of the source, as people write them.
func (p *planner) tableNames() []string {
	var names []string
	for n := range p.byName {
		names = append(names, strings.TrimPrefix(n, "public."))
	}
	sort.Strings(names)
	return names
}

// capture chooses the tables to capture.
func (p *planner) capture(tables []*schemas.Table) {
	if len(p.spec.Source.Tables) == 0 {
		p.plan.Captured = tables
	}
	seen := map[string]bool{}
	for i, name := range p.spec.Source.Tables {
		at := p.spec.Source.places[i].pos
		switch t := p.byName[name]; {
		case t == nil:
			p.unknownTable(at, name)
		case seen[name]:
			p.doc.bad(at, "", "table %s stands twice", name)
		default:
			p.plan.Captured = append(p.plan.Captured, t)
		}
		seen[name] = true
	}
	if len(tables) == 0 {
		p.doc.bad(schemas.Pos{}, "", "the source has no tables")
	}
}

func (p *planner) unknownTable(at schemas.Pos, name string) {
	short := strings.TrimPrefix(name, "public.")
	p.doc.bad(at, didYouMean(short, p.tableNames(), "it has "), "the source has no table %s", short).Code = schemas.CodeUnknownTable
}

// entries are the transforms of captured tables, by table.
func (p *planner) entries() map[string]*Transform {
	captured := map[string]bool{}
	for _, t := range p.plan.Captured {
		captured[t.FullName()] = true
	}
	out := map[string]*Transform{}
	for i := range p.spec.Transforms {
		t := &p.spec.Transforms[i]
		switch at := t.at.get("table").pos; {
		case p.byName[t.Table] == nil:
			p.unknownTable(at, t.Table)
		case !captured[t.Table]:
			p.doc.bad(at, "add it to source.tables", "table %s is not captured", t.Table)
		default:
			out[t.Table] = t
		}
	}
	return out
}

// table plans one captured table; entry is nil when it passes unchanged.
func (p *planner) table(t *schemas.Table, entry *Transform) {
	if entry == nil {
		entry = &Transform{Table: t.FullName(), To: t.FullName(), Select: "*", at: &value{}}
	}
	p.claim(entry, t)
	b := p.bind(t, entry)
	if b == nil {
		return
	}
	out := &schemas.Table{Version: 1}
	out.Schema, out.Name = splitName(entry.To)
	p.columns(b, entry, out)
	if !p.key(t, b, entry, out) {
		return
	}
	plan := &transform.Table{Source: t, Output: out, Input: b.input, Where: b.where, NeedsBefore: readsBeyondKey(t, b, out)}
	for _, n := range b.named {
		plan.Exprs = append(plan.Exprs, n.Expr)
	}
	plan.Place = func(clause string, at schemas.Pos) string {
		if v := entry.at.get(clause); v != nil {
			at = v.place(offset(v.text, at))
		}
		return fmt.Sprintf("%s:%d:%d", p.spec.File, at.Line, at.Column)
	}
	p.identity(t, b, entry, plan)
	if len(t.Key) == 0 {
		p.plan.Notices = append(p.plan.Notices, fmt.Sprintf("table %s has no primary key: it is loaded append-only, each row under the position that wrote it; an UPDATE or DELETE of it stops the pipeline", t.FullName()))
	}
	if plan.NeedsBefore {
		p.plan.NeedsBefore[t.FullName()] = true
	}
	p.plan.Tables = append(p.plan.Tables, plan)
}

// claim refuses two tables that write to one.
func (p *planner) claim(entry *Transform, t *schemas.Table) {
	if other := p.outputs[entry.To]; other != nil {
		at := entry.place("to")
		if !at.Known() { // it passes unchanged: the other one has an entry
			at = other.place("to")
		}
		p.doc.bad(at, "give one of them another name: to: …", "tables %s and %s would both be written to %s", other.Table, t.FullName(), entry.To)
	}
	p.outputs[entry.To] = entry
}

// columns describes the output columns.
func (p *planner) columns(b *bound, entry *Transform, out *schemas.Table) {
	ids := map[uint32]string{}
	for _, n := range b.named {
		c := schemas.Column{ID: columnID(n.Column.Name), Name: n.Column.Name, Type: n.Column.Type, NotNull: n.Column.NotNull}
		at := entry.selectAt(n.Expr)
		switch other, taken := ids[c.ID]; {
		case c.Name == "" || c.Name == "?column?":
			p.doc.bad(at, "name it: … AS total", "column %d of the select list has no name", len(out.Columns)+1)
		case taken && other == c.Name:
			p.doc.bad(at, "rename one of them: … AS other", "two output columns are called %q", c.Name)
		case taken:
			p.doc.bad(at, "rename one of them", "output columns %q and %q have the same id", c.Name, other)
		}
		ids[c.ID] = c.Name
		out.Columns = append(out.Columns, c)
	}
}

// columnID is the permanent id of an output column: a hash of its name, so that ids
// stay the same from one version of a pipeline to the next without a record of them.
func columnID(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return max(h.Sum32()&0x7fffffff, 1)
}

// version is a hash of all that decides the output.
func (p *planner) version() string {
	type table struct {
		Source, Output *schemas.Table
		Select, Where  string
	}
	var all []table
	texts := map[string]*Transform{}
	for i := range p.spec.Transforms {
		texts[p.spec.Transforms[i].Table] = &p.spec.Transforms[i]
	}
	for _, t := range p.plan.Tables {
		x := table{Source: t.Source, Output: t.Output}
		if e := texts[t.Source.FullName()]; e != nil {
			x.Select, x.Where = parse.Normal(e.Select), parse.Normal(e.Where)
		}
		all = append(all, x)
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("pipelines: %v", err)) // plain structs always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// bound is a table's entry with its SQL bound.
type bound struct {
	input []expr.ColumnID // of the source's columns
	named []plan.Named
	where expr.Expr
}

// reads lists the source columns that an expression reads, by index.
func (b *bound) reads(e expr.Expr) []int {
	if e == nil {
		return nil
	}
	var out []int
	for _, id := range expr.Columns(nil, e) {
		for i, in := range b.input {
			if in == id {
				out = append(out, i)
			}
		}
	}
	return out
}
