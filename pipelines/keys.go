package pipelines

// shape is what a key's value looks like.
type shape uint8

const (
	text shape = iota
	name       // text of letters, digits, _ and -
	number
	duration
	texts    // a list of text, or one text
	section  // a mapping
	sections // a list of mappings
)

// key describes one key of the file: for the parser, for the JSON Schema and for
// docs/pipelines.md.
type key struct {
	name     string
	shape    shape
	required bool
	// allowed lists the values of a text; later ones are known names that this
	// version refuses.
	allowed, later []string
	min, max       int // of a number
	byDefault      string
	about          string
	keys           []key // of a section
}

// fileKeys are the keys of a pipeline file, in the order in which data flows.
var fileKeys = []key{
	{name: "pipeline", shape: name, required: true, about: "Name of the pipeline: topics and state in the warehouse carry it."},
	{name: "source", shape: section, required: true, about: "Where changes come from.", keys: []key{
		{name: "type", shape: text, required: true, allowed: []string{"oltp", "postgres"}, about: "oltp is Millrace's own engine, postgres follows a PostgreSQL server."},
		{name: "name", shape: name, about: "Name of the source in answers and metrics; the type when left out."},
		{name: "dsn", shape: text, about: "Connection string of PostgreSQL. Take it from the environment: ${MILLRACE_PG_DSN}."},
		{name: "slot", shape: name, about: "Replication slot, made when missing; millrace_ and the pipeline's name when left out."},
		{name: "publication", shape: name, about: "Publication, made when missing; the slot's name when left out."},
		{name: "tables", shape: texts, about: "Tables to capture, schema-qualified or in public; all when left out."},
		{name: "snapshot", shape: text, allowed: []string{"initial"}, later: []string{"never", "always"}, byDefault: "initial", about: "initial copies all rows once, before changes are followed."},
	}},
	{name: "stream", shape: section, about: "The Kafka topics between capture and workers.", keys: []key{
		{name: "brokers", shape: texts, byDefault: "embedded", about: "Addresses host:port of Kafka, or embedded for the broker in this process."},
		{name: "partitions", shape: number, min: 1, max: 1024, byDefault: "4", about: "Partitions of each table's topic: more let more workers share a table."},
		{name: "linger", shape: duration, byDefault: "4ms", about: "Least time between two intervals of the stream: less is fresher, more makes fewer messages."},
	}},
	{name: "transforms", shape: sections, about: "What becomes of tables on the way. A table without an entry passes unchanged.", keys: []key{
		{name: "table", shape: text, required: true, about: "Table of the source, schema-qualified or in public."},
		{name: "to", shape: text, about: "Table in the warehouse; the source's name when left out."},
		{name: "select", shape: text, about: "What SQL has between SELECT and FROM, over the columns of the table; * when left out."},
		{name: "where", shape: text, about: "Rows for which this SQL condition is true are kept. A row that stops matching is deleted downstream."},
		{name: "key", shape: texts, about: "Output columns of the primary key; they contain the source's key. That key when left out."},
	}},
	{name: "sink", shape: section, about: "Where the tables go.", keys: []key{
		{name: "type", shape: text, required: true, allowed: []string{"warehouse"}, about: "warehouse is Millrace's column store."},
	}},
	{name: "slo", shape: section, about: "What the pipeline promises; status and metrics compare with it.", keys: []key{
		{name: "freshness_p99", shape: duration, about: "99 of 100 commits are visible within this time."},
	}},
	{name: "on_error", shape: text, allowed: []string{"stop"}, later: []string{"dead_letter", "skip"}, byDefault: "stop", about: "What a row does that an expression fails for."},
	{name: "on_schema_change", shape: text, allowed: []string{"exception"}, later: []string{"evolve", "try_evolve", "lenient", "ignore"}, byDefault: "exception", about: "What an altered table does; exception stops the pipeline."},
}

func keyNames(keys []key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}
