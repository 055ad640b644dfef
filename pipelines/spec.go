// Package pipelines reads pipeline files, YAML that says what becomes of a source's
// tables on their way to the warehouse, reports every mistake in them at its place,
// and plans them.
package pipelines

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/schemas"
)

// The types of source.
const (
	SourceOLTP     = "oltp"
	SourcePostgres = "postgres"
)

// Spec is a pipeline file, checked as far as that goes without the source's tables.
type Spec struct {
	File       string
	Pipeline   string
	Source     Source
	Stream     Stream
	Transforms []Transform
	SLO        SLO

	doc *document // for problems found when planning
}

// Source says where changes come from.
type Source struct {
	Type string // SourceOLTP or SourcePostgres
	Name string
	// DSN, Slot and Publication are of PostgreSQL.
	DSN               Secret
	Slot, Publication string
	// Tables are the full names of the captured tables; empty: all.
	Tables []string
	places []*value
}

// Stream says which Kafka is between capture and workers.
type Stream struct {
	// Brokers are addresses host:port; empty: the embedded broker.
	Brokers    []string
	Partitions int32
	Linger     time.Duration
}

// Transform says what becomes of one table.
type Transform struct {
	Table string // full name
	To    string // full name
	// Select and Where are SQL; Select "*" and Where "" change nothing.
	Select, Where string
	Key           []string // output columns; empty: the source's key

	at *value // the entry, for problems
}

// SLO is what the pipeline promises; zero is no promise.
type SLO struct {
	FreshnessP99 time.Duration
}

// Load reads a pipeline file. env looks up environment variables (os.LookupEnv).
// The error is an *Errors that lists every mistake, or says why the file could not
// be read.
func Load(file string, env func(string) (string, bool)) (*Spec, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "58P01", Message: "read pipeline", Err: err,
			Hint: "etl init writes a pipeline file for the tables it finds"}
	}
	return Parse(file, data, env)
}

// Parse is Load of contents; file is the name that problems show.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Spec, error) {
	d := newDocument(file, data, env)
	v := d.read(data)
	if v == nil {
		return nil, d.errs.orNil()
	}
	s := d.spec(v)
	if err := d.errs.orNil(); err != nil {
		return nil, err
	}
	return s, nil
}

func (v *value) get(name string) *value {
	if v == nil || v.fields == nil {
		return nil
	}
	return v.fields[name]
}

// str is the text of a key, or a default.
func (v *value) str(name, byDefault string) string {
	if f := v.get(name); f != nil && f.text != "" {
		return f.text
	}
	return byDefault
}

func (v *value) items(name string) []*value {
	if f := v.get(name); f != nil {
		return f.list
	}
	return nil
}

// spec makes the Spec of a file that was read, and checks what concerns several keys.
func (d *document) spec(v *value) *Spec {
	s := &Spec{File: d.file, Pipeline: v.str("pipeline", ""), doc: d}
	s.Source = d.source(v.get("source"), s.Pipeline)
	s.Stream = d.stream(v.get("stream"))
	if f := v.get("slo").get("freshness_p99"); f != nil {
		s.SLO.FreshnessP99 = f.time
	}
	seen := map[string]bool{}
	for _, e := range v.items("transforms") {
		t := newTransform(e)
		if t.Table == "" {
			continue
		}
		if seen[t.Table] {
			d.bad(e.get("table").pos, "", "table %s has two entries", t.Table)
		}
		seen[t.Table] = true
		s.Transforms = append(s.Transforms, t)
	}
	return s
}

func (d *document) source(v *value, pipeline string) Source {
	s := Source{Type: v.str("type", ""), DSN: NewSecret(v.str("dsn", "")), places: v.items("tables")}
	s.Name = v.str("name", s.Type)
	for _, t := range s.places {
		s.Tables = append(s.Tables, fullName(t.text))
	}
	switch s.Type {
	case SourcePostgres:
		s.Slot = v.str("slot", "millrace_"+strings.ToLower(strings.ReplaceAll(pipeline, "-", "_")))
		s.Publication = v.str("publication", s.Slot)
		if v.get("dsn") == nil {
			d.bad(v.pos, "dsn: ${MILLRACE_PG_DSN}", "a source of type postgres has no \"dsn\"")
		}
		d.checkSlot(v.get("slot"))
	case SourceOLTP:
		for _, only := range []string{"dsn", "slot", "publication"} {
			if f := v.get(only); f != nil {
				d.bad(f.pos, "", "%q is of sources of type postgres", only)
			}
		}
	}
	return s
}

// checkSlot holds PostgreSQL's rule for names of slots.
func (d *document) checkSlot(v *value) {
	if v != nil && strings.Trim(v.text, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		d.bad(v.pos, "lower case letters, digits and _", "PostgreSQL takes no slot named %q", v.text)
	}
}

func (d *document) stream(v *value) Stream {
	s := Stream{Partitions: 4, Linger: 4 * time.Millisecond}
	if f := v.get("partitions"); f != nil {
		s.Partitions = int32(f.number)
	}
	if f := v.get("linger"); f != nil {
		s.Linger = f.time
	}
	brokers := v.items("brokers")
	for _, b := range brokers {
		switch _, port, ok := strings.Cut(b.text, ":"); {
		case b.text == "embedded" && len(brokers) == 1:
		case !ok || port == "":
			d.bad(b.pos, "brokers: [kafka-1:9092], or brokers: embedded", "%q is not an address host:port", b.text)
		default:
			s.Brokers = append(s.Brokers, b.text)
		}
	}
	return s
}

func newTransform(v *value) Transform {
	t := Transform{Select: v.str("select", "*"), Where: v.str("where", ""), at: v}
	if from := v.str("table", ""); from != "" {
		t.Table = fullName(from)
	}
	t.To = t.Table
	if to := v.str("to", ""); to != "" {
		t.To = fullName(to)
	}
	for _, k := range v.items("key") {
		t.Key = append(t.Key, k.text)
	}
	return t
}

// fullName gives a name without a schema the default one.
func fullName(s string) string {
	if strings.Contains(s, ".") {
		return s
	}
	return "public." + s
}

// String names the pipeline and its file.
func (s *Spec) String() string { return fmt.Sprintf("pipeline %s (%s)", s.Pipeline, s.File) }
