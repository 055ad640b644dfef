// Package catalog is what the SQL engine needs of whoever holds the tables: names,
// statistics and scans by morsel, all as of one consistent state.
package catalog

import (
	"context"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// MorselRows is the most rows of a morsel, the unit of parallel work. Blocks,
// delete masks and zone maps have the same size.
const MorselRows = 64 << 10

// Catalog is one consistent state of a set of tables: everything read through it
// belongs to the same version. Safe for concurrent use.
type Catalog interface {
	// Table finds a table by schema (empty: the default, "public") and name. The
	// error has code unknown_table, or not_ready while the table still loads.
	Table(schema, name string) (Table, error)
	// Tables lists all names that Table would find, schema-qualified, sorted.
	Tables() []string
}

// Table is one table at the catalog's version.
type Table interface {
	// Schema describes the columns.
	Schema() *schemas.Table
	// Stats are for the planner.
	Stats() Stats
	// Scan opens a scan of the columns at the given indexes of Schema().Columns.
	// Bounds let the table leave out morsels that hold no matching row; they
	// are a hint, and the caller filters all the same.
	Scan(columns []int, bounds []Bound) (Scan, error)
}

// Stats of a table. Estimates, except Rows.
type Stats struct {
	// Rows is the exact number of visible rows.
	Rows int64
	// Columns parallel Schema().Columns; may be nil.
	Columns []ColumnStats
}

// ColumnStats of one column.
type ColumnStats struct {
	Distinct int64         // 0: unknown
	Nulls    int64         // rows
	Min, Max schemas.Value // NULL: unknown
}

// Bound says that only rows whose column lies in [Min, Max] are wanted; a NULL end
// is open. Values have the column's kind. NULLs in the column never match.
type Bound struct {
	Column   int // index in Schema().Columns
	Min, Max schemas.Value
}

// Scan reads a table by morsels. Morsel may be called concurrently for different
// destinations; every other method by one goroutine.
type Scan interface {
	// Morsels is how many there are; fixed for the scan.
	Morsels() int
	// Morsel reads number i into dst, replacing what it held. What dst then
	// refers to is pinned until the next Morsel with the same dst, or Close.
	Morsel(ctx context.Context, i int, dst *Chunk) error
	// Skipped is the rows left out because of bounds so far.
	Skipped() int64
	// Close releases everything.
	Close()
}

// Chunk is some rows of some columns.
type Chunk struct {
	// Rows is how many rows the vectors have.
	Rows int
	// Columns parallel the columns asked for. Any encoding; lent read-only.
	Columns []*vector.Vector
	// Visible is the rows that exist at the catalog's version; nil: all.
	Visible vector.Bitmap
	// Bytes read to answer, for statistics.
	Bytes int64
	// Release is the scan's own, to unpin what the chunk refers to.
	Release func()
}
