package ingest

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// continues refuses a run whose tables are not what the previous run captured, or
// whose rows another version of the pipeline would make. The source compares shapes
// within a run only: what was altered between two runs would be loaded beside rows of
// the old shape, and a table that is new would become visible without the rows that it
// had; rows that an old filter left out would never come (I2). A table that is gone
// stays as it is.
func (p *Pipe) continues(run load.Run) error {
	if run.Snapshot || p.DurableW == 0 {
		return nil
	}
	known := map[string]*schemas.Table{}
	for _, t := range p.newest().run.Tables {
		known[t.FullName()] = t
	}
	for _, t := range run.Tables {
		old, ok := known[t.FullName()]
		if !ok {
			return reshaped("table %s was not captured before: the rows that it has would be missing", t.FullName())
		}
		if what := difference(old, t); what != "" {
			return reshaped("table %s was changed while it was not captured: %s", t.FullName(), what)
		}
	}
	if p.newest().version != p.Control.Version {
		e := schemas.Errorf(schemas.CodeSource, "55000", "pipeline %s was changed since its tables were loaded: its rows would be made by two versions of it", p.Control.Name)
		e.Hint = "take the change of tables, select, where, key or to back; or load the pipeline afresh: stop it, remove its data folder, start it"
		return e
	}
	return nil
}

func reshaped(format string, args ...any) error {
	e := schemas.Errorf(schemas.CodeSource, "55000", format, args...)
	e.Hint = "check the pipeline with `etl validate` and resync the table: stop the pipeline, remove its data folder, start it"
	return e
}

// difference says what differs between two descriptions of a table, or "".
func difference(old, now *schemas.Table) string {
	for _, c := range old.Columns {
		i := now.Ordinal(c.ID)
		switch {
		case i < 0:
			return "column " + c.Name + " was dropped"
		case now.Columns[i].Name != c.Name:
			return fmt.Sprintf("column %s was renamed to %s", c.Name, now.Columns[i].Name)
		case now.Columns[i].Type != c.Type:
			return fmt.Sprintf("column %s was %v and is %v", c.Name, c.Type, now.Columns[i].Type)
		}
	}
	for i, c := range now.Columns {
		switch at := old.Ordinal(c.ID); {
		case at < 0:
			return "column " + c.Name + " is new"
		case at != i:
			return "its columns are in another order"
		}
	}
	if !slices.Equal(old.Key, now.Key) {
		return "its key is another"
	}
	if old.Version != now.Version { // of PostgreSQL: a hash of oid, columns and identity
		return "it was dropped and made anew, or its replica identity is another"
	}
	return ""
}
