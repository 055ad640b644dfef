package columnstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Register implements load.Warehouse. A new version may add tables and nullable
// columns and rename columns (ids stay); anything else that does not fit a table
// that exists is refused with CodeInvalid. The tables themselves are made or changed
// at once for a pipeline that never ran, else when a run of the version is granted:
// one that is refused must leave no trace in what queries see.
func (s *Store) Register(_ context.Context, v load.Pipeline) error {
	if v.Name == "" || v.Version == "" || v.Source == "" {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "a pipeline needs a name, a version and a source, not %q, %q, %q", v.Name, v.Version, v.Source)
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.ingest.Lock()
	defer s.ingest.Unlock()
	defs, err := s.defs(v)
	if err != nil {
		return err
	}
	p := s.ingest.pipes[v.Name]
	fresh := p == nil
	if fresh {
		p = ingest.NewPipe(&manifest.Control{Pipeline: load.Pipeline{Name: v.Name, Source: v.Source}}, nil)
	}
	if p.Control.Source != v.Source {
		return &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Hint: "give the new source a pipeline of another name",
			Message: fmt.Sprintf("pipeline %s reads source %q, not %q", v.Name, p.Control.Source, v.Source)}
	}
	c := p.Registered(v)
	if c == nil {
		return nil
	}
	if p.Epoch() > 0 {
		defs = nil
	}
	if err := s.change(p, c, defs...); err != nil {
		return err
	}
	s.ingest.pipes[v.Name] = p
	s.opts.Logger.Info("pipeline registered", "pipeline", v.Name, "version", v.Version, "tables", len(v.Outputs))
	return nil
}

// defs lists the tables that a pipeline version makes or changes; write is held.
func (s *Store) defs(v load.Pipeline) ([]manifest.Def, error) {
	var defs []manifest.Def
	named := map[string]bool{}
	for _, o := range v.Outputs {
		if err := o.Table.Validate(); err != nil {
			return nil, err
		}
		name := o.Table.FullName()
		if named[name] {
			return nil, schemas.Errorf(schemas.CodeInvalid, "42P07", "pipeline %s writes table %s twice", v.Name, name)
		}
		named[name] = true
		def := manifest.Def{Schema: o.Table, Pipeline: v.Name, Source: o.Source}
		old := s.write.tables[name]
		if old == nil {
			defs = append(defs, def)
			continue
		}
		if old.def.Pipeline != v.Name {
			return nil, &schemas.Error{Code: schemas.CodeConflict, SQLState: "42P07", Hint: "write to a table of another name",
				Message: fmt.Sprintf("table %s belongs to pipeline %s", name, old.def.Pipeline)}
		}
		if err := compatible(old.def.Schema, o.Table); err != nil {
			return nil, err
		}
		if !sameTable(old.def.Schema, o.Table) || old.def.Source != o.Source {
			defs = append(defs, def)
		}
	}
	return defs, nil
}

func sameTable(a, b *schemas.Table) bool {
	if len(a.Columns) != len(b.Columns) || a.Version != b.Version {
		return false
	}
	for i := range a.Columns {
		if a.Columns[i] != b.Columns[i] {
			return false
		}
	}
	return true
}

// compatible says whether rows of the old description can be read with the new.
func compatible(old, next *schemas.Table) error {
	refuse := func(format string, args ...any) error {
		return &schemas.Error{Code: schemas.CodeInvalid, SQLState: "42P16",
			Message: "table " + old.FullName() + ": " + fmt.Sprintf(format, args...),
			Hint:    "write to a table of another name and resync, or keep the old columns"}
	}
	for _, c := range old.Columns {
		i := next.Ordinal(c.ID)
		if i < 0 {
			return refuse("column %s would be dropped", c.Name)
		}
		if next.Columns[i].Type != c.Type {
			return refuse("column %s would change from %v to %v", c.Name, c.Type, next.Columns[i].Type)
		}
	}
	for _, c := range next.Columns {
		if old.Ordinal(c.ID) < 0 && c.NotNull {
			return refuse("new column %s is NOT NULL, but the rows that are there have no value for it", c.Name)
		}
	}
	if len(old.Key) != len(next.Key) {
		return refuse("the key would change")
	}
	for i := range old.Key {
		if old.Key[i] != next.Key[i] {
			return refuse("the key would change")
		}
	}
	return nil
}

// define makes or changes tables and shows them, not ready yet if new. write is held.
func (s *Store) define(defs []manifest.Def) {
	touched := map[string]*tab{}
	for _, d := range defs {
		name := d.Schema.FullName()
		t := s.write.tables[name]
		if t == nil {
			t = &tab{t: table.New(d.Schema, s.cache)}
			s.write.tables[name] = t
		} else {
			t.t.Alter(d.Schema)
		}
		t.def = d
		touched[name] = t
	}
	s.swap(s.visible.Load().version, touched, nil)
}
