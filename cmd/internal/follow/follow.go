// Package follow turns a pipeline file and the database it names into a source and
// a plan.
package follow

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/cdc/postgres"
	"github.com/millrace/millrace/pipelines"
	"github.com/millrace/millrace/schemas"
)

// Options are what a source gets beside its pipeline.
type Options struct {
	Logger   *slog.Logger
	Registry *prometheus.Registry
}

// Load reads a pipeline file with the process's environment.
func Load(file string) (*pipelines.Spec, error) {
	spec, err := pipelines.Load(file, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if spec.Source.Type != pipelines.SourcePostgres {
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "%s: a source of type %s cannot be followed from outside its process", file, spec.Source.Type)
		e.Hint = "`etl demo` runs one with everything in its process; for a database of yours use type: postgres"
		return nil, e
	}
	return spec, nil
}

// Inspector is a source that is only looked at: what is captured does not matter yet.
func Inspector(dsn string, log *slog.Logger) (*postgres.Source, error) {
	return postgres.New(postgres.Options{DSN: dsn, Logger: log})
}

// Plan asks the database for its tables and plans the pipeline over them.
func Plan(ctx context.Context, spec *pipelines.Spec, log *slog.Logger) (*pipelines.Plan, error) {
	look, err := Inspector(spec.Source.DSN.Reveal(), log)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	found, err := look.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var tables []*schemas.Table
	full := map[string]bool{}
	for _, t := range found {
		tables = append(tables, t.Table)
		full[t.Name] = t.Full
	}
	return pipelines.NewPlan(spec, tables, full)
}

// Source makes the source of a planned pipeline.
func Source(spec *pipelines.Spec, plan *pipelines.Plan, o Options) (*postgres.Source, error) {
	opts := postgres.Options{
		DSN: spec.Source.DSN.Reveal(), Slot: spec.Source.Slot, Publication: spec.Source.Publication, Logger: o.Logger,
	}
	if o.Registry != nil {
		opts.Metrics = o.Registry
	}
	for _, t := range plan.Captured {
		opts.Tables = append(opts.Tables, t.FullName())
		if plan.NeedsBefore[t.FullName()] {
			opts.Before = append(opts.Before, t.FullName())
		}
	}
	return postgres.New(opts)
}

// Find lists a database's tables for a new pipeline file.
func Find(ctx context.Context, dsn string, log *slog.Logger) ([]pipelines.Found, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		e := schemas.Errorf(schemas.CodeInvalid, "22023", "--source is not the address of a PostgreSQL database")
		e.Hint = "write postgres://user:password@host:5432/database"
		return nil, e
	}
	look, err := Inspector(dsn, log)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	tables, err := look.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var found []pipelines.Found
	for _, t := range tables {
		f := pipelines.Found{Table: t.Table, Rows: t.Rows, Full: t.Full}
		for name, typ := range t.Unsupported {
			f.Unsupported = append(f.Unsupported, name+" "+typ)
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		e := schemas.Errorf(schemas.CodeNotFound, "42P01", "the database has no tables that can be followed")
		e.Hint = "is it the right database, and may the role see them?"
		return nil, e
	}
	return found, nil
}
