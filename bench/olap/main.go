// Command olap compares the warehouse with DuckDB: the same rows, loaded by the load
// protocol into segments on disk here and into its own tables there, warm, in
// interleaved pairs; it prints the median time of each and the median ratio of the pairs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/exec"
)

// query of the benchmark; it returns few rows, so that reading them does not count.
type query struct{ name, text string }

var queries = []query{
	{"filtered, few groups", `SELECT status, count(*), sum(price), min(quantity), max(day) FROM lines WHERE day >= DATE '1994-01-01' AND day < DATE '1996-01-01' GROUP BY status`},
	{"Q1", `SELECT flag, state, sum(quantity), sum(price), sum(price * (1 - discount)), sum(price * (1 - discount) * (1 + tax)), count(*) FROM lines WHERE day <= DATE '1998-09-02' GROUP BY flag, state`},
	{"Q6", `SELECT sum(price * discount) FROM lines WHERE day >= DATE '1994-01-01' AND day < DATE '1995-01-01' AND discount BETWEEN 0.05 AND 0.07 AND quantity < 24`},
	{"many groups", `SELECT count(*), max(s), max(n) FROM (SELECT orderkey, sum(price) AS s, count(*) AS n FROM lines GROUP BY orderkey) t`},
	{"100,000 groups", `SELECT count(*), max(s) FROM (SELECT customer, sum(price) AS s FROM lines GROUP BY customer) t`},
	{"join", `SELECT region, count(*), sum(price) FROM lines JOIN customers ON customer = customers.id WHERE day < DATE '1995-01-01' GROUP BY region`},
	{"count distinct", `SELECT count(DISTINCT customer) FROM lines WHERE mode IN ('AIR', 'RAIL')`},
	{"like", `SELECT count(*) FROM lines WHERE comment LIKE '%special%'`},
	{"top 10", `SELECT id, price FROM lines ORDER BY price DESC, id LIMIT 10`},
	{"sum, no filter", `SELECT sum(price), sum(quantity), count(*) FROM lines`},
}

type options struct {
	rows, pairs int
	threads     string
	only        string
	json, own   bool
	profile     string
}

func main() {
	var o options
	flag.Usage = usage
	flag.IntVar(&o.rows, "rows", 5_000_000, "rows of the big table")
	flag.IntVar(&o.pairs, "pairs", 10, "interleaved pairs a query")
	flag.StringVar(&o.threads, "threads", "1,2", "numbers of threads to measure with")
	flag.StringVar(&o.only, "only", "", "run the queries whose name contains this")
	flag.BoolVar(&o.json, "json", false, "print one JSON document on stdout")
	flag.BoolVar(&o.own, "own", false, "leave DuckDB out")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the measurements to this file")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "olap:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, `olap compares the warehouse, on disk and warm, with DuckDB over the same rows in memory.

Example: go run ./olap --rows 5000000 --pairs 10 --threads 1,2

`)
	flag.PrintDefaults()
}

// result of one query at one number of threads; times in milliseconds.
type result struct {
	Query   string  `json:"query"`
	Threads int     `json:"threads"`
	Own     float64 `json:"millrace_ms"`
	Duck    float64 `json:"duckdb_ms"`
	Ratio   float64 `json:"ratio"`
	Equal   bool    `json:"equal"`
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	fmt.Fprintf(os.Stderr, "loading %d rows into both engines\n", o.rows)
	own, err := openOwn(ctx, o.rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	var peer *duck
	if !o.own {
		if peer, err = openDuck(ctx, o.rows); err != nil {
			return err
		}
	}
	runtime.GC()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var results []result
	for _, field := range strings.Split(o.threads, ",") {
		var threads int
		if _, err := fmt.Sscan(field, &threads); err != nil || threads < 1 {
			return fmt.Errorf("--threads %q: want numbers like 1,2", o.threads)
		}
		if peer != nil {
			if err := peer.threads(ctx, threads); err != nil {
				return err
			}
		}
		for _, q := range queries {
			if !strings.Contains(q.name, o.only) {
				continue
			}
			r, err := measure(ctx, o, q, threads, own, peer)
			if err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			results = append(results, r)
		}
	}
	if o.json {
		return json.NewEncoder(out).Encode(results)
	}
	print(out, results)
	return nil
}

func print(out io.Writer, results []result) {
	fmt.Fprintf(out, "%-22s %7s %12s %12s %8s %s\n", "query", "threads", "Millrace ms", "DuckDB ms", "ratio", "answers")
	for _, r := range results {
		equal := "equal"
		if !r.Equal {
			equal = "DIFFER"
		}
		fmt.Fprintf(out, "%-22s %7d %12.2f %12.2f %8.2f %s\n", r.Query, r.Threads, r.Own, r.Duck, r.Ratio, equal)
	}
}

// measure runs interleaved pairs, after one of each to warm up.
func measure(ctx context.Context, o options, q query, threads int, own *own, peer *duck) (result, error) {
	r := result{Query: q.name, Threads: threads, Equal: true}
	var mine, theirs, ratios []float64
	for i := range o.pairs + 1 {
		start := time.Now()
		rows, err := ask(ctx, own, q.text, threads)
		if err != nil {
			return r, err
		}
		a := float64(time.Since(start).Microseconds()) / 1000
		var b float64
		if peer != nil {
			start = time.Now()
			want, err := peer.query(ctx, q.text)
			if err != nil {
				return r, err
			}
			b = float64(time.Since(start).Microseconds()) / 1000
			if i == 0 {
				r.Equal = same(rows, want)
			}
		}
		if i > 0 {
			mine, theirs, ratios = append(mine, a), append(theirs, b), append(ratios, a/b)
		}
	}
	r.Own, r.Duck, r.Ratio = median(mine), median(theirs), median(ratios)
	return r, nil
}

// ask runs a statement from its text, as a server would.
func ask(ctx context.Context, cat *own, text string, threads int) ([][]string, error) {
	st, err := sql.Prepare(ctx, text, cat, sql.Options{})
	if err != nil {
		return nil, err
	}
	res, err := exec.Run(ctx, st, exec.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	defer res.Close()
	var out [][]string
	for {
		b, err := res.Next(ctx)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range b.Rows {
			var row []string
			for _, v := range b.Vectors {
				row = append(row, string(pgtext.AppendVector(nil, v, i)))
			}
			out = append(out, row)
		}
	}
}

// same compares answers as sets of rows; numbers by their digits without zeros at the
// end, dates by their first ten characters.
func same(a, b [][]string) bool {
	flat := func(rows [][]string) []string {
		out := make([]string, len(rows))
		for i, r := range rows {
			for _, f := range r {
				f, _, _ = strings.Cut(f, " 00:00:00")
				if strings.Contains(f, ".") {
					f = strings.TrimRight(strings.TrimRight(f, "0"), ".")
				}
				out[i] += f + "|"
			}
		}
		sort.Strings(out)
		return out
	}
	return slices.Equal(flat(a), flat(b))
}

func median(s []float64) float64 {
	if len(s) == 0 {
		return 0
	}
	s = slices.Clone(s)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
