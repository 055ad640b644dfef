package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/schemas"
)

// TestKeysChange: keys change while large values are left alone, which PostgreSQL does
// not send then: the warehouse has them, under keys of other partitions (I5). Run over
// and over, with a kill between, since what meets in one version differs.
func TestKeysChange(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	db := server.Connect(t, "postgres")
	db.Exec(`CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
		ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
		INSERT INTO docs SELECT g, 'title ' || g, repeat(md5(g::text), 100) FROM generate_series(1, 300) g`)
	dir := t.TempDir()
	file := filepath.Join(dir, "docs.yaml")
	pipeline := "pipeline: docs\nsource: {type: postgres, dsn: '${MILLRACE_PG_DSN}', slot: docs, publication: docs, tables: [docs]}\n" +
		"transforms: [{table: docs, select: 'id AS number, title, body', key: [number]}]\nsink: {type: warehouse}\n"
	if err := os.WriteFile(file, []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPipeline(t, file, filepath.Join(dir, "data"), server.DSN())
	p.awaitTable(t, "docs")
	for round := range 8 {
		db.Exec(`BEGIN; UPDATE docs SET id = id + %d; UPDATE docs SET title = 'moved' WHERE mod(id, 3) = 0;
			UPDATE docs SET id = -id WHERE mod(id, 5) = 0; UPDATE docs SET body = repeat('b', 4000) WHERE mod(id, 7) = 0;
			UPDATE docs SET id = -id WHERE id < 0; DELETE FROM docs WHERE mod(id, 50) = 1; COMMIT;
			UPDATE docs SET id = id - 1 WHERE id = (SELECT min(id) FROM docs);
			INSERT INTO docs VALUES (%d, 'new', repeat('n', 3000))`, 1000*(round+1), round+1)
		if round == 4 {
			p.kill()
			p = startPipeline(t, file, filepath.Join(dir, "data"), server.DSN())
		}
	}
	lsn, err := schemas.ParseLSN(db.One("SELECT pg_current_wal_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	want := db.Query("SELECT id, title, body FROM docs")
	compare(t, p.url, lsn, "docs", "number, title, body", want.Rows)
	p.interrupt(t)
}
