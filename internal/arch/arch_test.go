package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace/"

// layers, top to bottom: a package may import its own layer and those below. The
// longest matching prefix decides.
var layers = []struct {
	name     string
	prefixes []string
	reason   string
}{
	{"cmd", []string{"cmd"}, "cmd composes: nothing else sees two worlds"},
	{"pipelines", []string{"pipelines"}, "a pipeline plans work for the parts below and is used by none of them"},
	{"parts", []string{"oltp", "cdc", "transform", "columnstore"}, "the parts meet only in the vocabulary below"},
	{"sql", []string{"internal/sql"}, "one SQL engine serves every part, over catalogs that they provide"},
	{"vocabulary", []string{"schemas", "internal/vector", "internal/arrowipc", "internal/decimal", "internal/pgtext"}, "columns, batches, their values and encodings are what the parts exchange"},
	{"base", []string{"internal"}, "files, logs and clocks know nothing of columns"},
	{"words", []string{"schemas$"}, "types, positions and errors import nothing, so that everybody can name them"},
}

// apart lists trees that must not import one another though they share a layer.
var apart = []struct {
	from, to string
	reason   string
}{
	{"oltp", "cdc", "an embedder of the engine does not want Kafka"},
	{"oltp", "columnstore", "an embedder of the engine does not want a warehouse"},
	{"oltp", "transform", "the engine knows no pipelines"},
	{"cdc", "oltp", "capture follows any source through interfaces it declares"},
	{"cdc", "columnstore", "capture knows the load protocol, not who serves it"},
	{"cdc", "transform", "capture does not know what becomes of the changes"},
	{"columnstore", "oltp", "an embedder of the store does not want a transactional engine"},
	{"columnstore", "cdc", "the warehouse is loaded through the load protocol alone"},
	{"columnstore", "transform", "the warehouse is loaded through the load protocol alone"},
	{"transform", "oltp", "a stage maps batches, wherever they come from"},
	{"transform", "cdc", "a worker reads messages through an interface it declares"},
	{"transform", "columnstore", "a worker loads through the load protocol alone"},
	{"internal/vector", "internal/arrowipc", "Arrow is built at the border, never inside"},
	{"schemas", "internal/arrowipc", "types do not know their encodings"},
	{"internal/sql/plan", "internal/sql/exec", "a plan does not know how it is run"},
	{"internal/sql/bind", "internal/sql/exec", "binding does not depend on execution"},
}

// only says that an import path may stand in one tree alone.
var only = []struct {
	path, in string
	reason   string
}{
	{"github.com/multigres/multigres", "internal/sql/parse", "the grammar can be replaced in one place"},
	{"github.com/twmb/franz-go", "cdc/broker", "the embedded broker is the one user of another Kafka library"},
	{"github.com/segmentio/kafka-go", "cdc", "Kafka stays behind the change stream"},
	{"github.com/jackc/pglogrepl", "cdc/postgres", "the replication protocol has one client"},
	{"github.com/parquet-go/parquet-go", "columnstore", "Parquet is the warehouse's file format"},
	{"github.com/apache/arrow/go/v15", "internal/arrowipc", "Arrow is built at the border"},
	{"github.com/spf13/cobra", "cmd", "commands are wiring"},
	{"github.com/goccy/go-yaml", "pipelines", "one place reads YAML"},
	{"github.com/cockroachdb/pebble/v2", "internal/vfs/vfstest", "the crashable file system is for tests"},
}

type file struct {
	pkg     string // folder below the module's root, slash-separated
	name    string
	test    bool
	imports []string
}

func sources(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || hasModule(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		s := file{pkg: filepath.ToSlash(rel), name: d.Name(), test: strings.HasSuffix(path, "_test.go")}
		for _, i := range f.Imports {
			s.imports = append(s.imports, strings.Trim(i.Path.Value, `"`))
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// layerOf returns the number of the layer whose longest prefix fits, or -1. A
// prefix that ends in $ stands for that package without what is below it.
func layerOf(pkg string) int {
	best, length := -1, -1
	for i, l := range layers {
		for _, p := range l.prefixes {
			if (within(pkg, p) || pkg+"$" == p) && len(p) > length {
				best, length = i, len(p)
			}
		}
	}
	return best
}

// TestImports holds the rules on every file of the tree.
func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		for _, problem := range violations(f) {
			t.Errorf("%s/%s: %s", f.pkg, f.name, problem)
		}
	}
}

func violations(f file) []string {
	var out []string
	for _, path := range f.imports {
		for _, o := range only {
			if within(path, o.path) && !within(f.pkg, o.in) && !f.test && !strings.HasSuffix(f.pkg, "test") {
				out = append(out, "imports "+path+", which only "+o.in+" may: "+o.reason)
			}
		}
		if !strings.HasPrefix(path, module) {
			continue
		}
		to := strings.TrimPrefix(path, module)
		// Tests may reach across for an oracle, never production code.
		if f.test || strings.HasSuffix(f.pkg, "test") {
			continue
		}
		if strings.HasSuffix(to, "test") {
			out = append(out, "imports "+to+": test helpers stay out of production files")
		}
		if from, down := layerOf(f.pkg), layerOf(to); down < from {
			out = append(out, "imports "+to+" of the layer "+layers[down].name+" above it: "+layers[down].reason)
		}
		for _, a := range apart {
			if within(f.pkg, a.from) && within(to, a.to) {
				out = append(out, "imports "+to+": "+a.reason)
			}
		}
	}
	return out
}

// TestRulesBite shows that each kind of rule finds its violation.
func TestRulesBite(t *testing.T) {
	for _, f := range []file{
		{pkg: "oltp/lsm", imports: []string{module + "cdc/stream"}},
		{pkg: "internal/sql/bind", imports: []string{module + "columnstore"}},
		{pkg: "schemas", imports: []string{module + "pipelines"}},
		{pkg: "internal/wal", imports: []string{module + "schemas/load", module + "cmd/etl"}},
		{pkg: "internal/sql/bind", imports: []string{"github.com/multigres/multigres/go/common/parser"}},
		{pkg: "columnstore", imports: []string{module + "internal/vfs/vfstest"}},
	} {
		if len(violations(f)) == 0 {
			t.Errorf("%s may import %v, and should not", f.pkg, f.imports)
		}
	}
}

// TestPackageDocs demands a package comment of every package: it is the first
// thing that a newcomer reads.
func TestPackageDocs(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		seen[f.pkg] = true
		path := filepath.Join("..", "..", filepath.FromSlash(f.pkg), f.name)
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc != nil {
			documented[f.pkg] = true
		}
	}
	for pkg := range seen {
		if !documented[pkg] {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}
