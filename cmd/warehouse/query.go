package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/cmd/internal/textable"
	"github.com/millrace/millrace/schemas"
)

type queryFlags struct {
	url, format, minLSN string
	waitMS, timeoutMS   int64
}

func newQuery() *cobra.Command {
	var f queryFlags
	c := &cobra.Command{
		Use:   "query [flags] SQL",
		Short: "Run one SQL statement and print its rows",
		Example: `  warehouse query "SELECT status, count(*) FROM orders GROUP BY status"
  warehouse query --format csv "SELECT * FROM orders LIMIT 10" > orders.csv
  echo "SELECT 1" | warehouse query -`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text := args[0]
			if text == "-" {
				b, err := io.ReadAll(c.InOrStdin())
				if err != nil {
					return err
				}
				text = string(b)
			}
			return f.run(c, text)
		},
	}
	c.Flags().StringVar(&f.url, "url", "http://127.0.0.1:8080", "address of the warehouse")
	c.Flags().StringVar(&f.format, "format", "table", "table, json, ndjson or csv")
	c.Flags().StringVar(&f.minLSN, "min-lsn", "", "wait until this LSN of the source is visible, such as 0/16B3748")
	c.Flags().Int64Var(&f.waitMS, "wait-ms", 5000, "how long to wait for --min-lsn, in milliseconds")
	c.Flags().Int64Var(&f.timeoutMS, "timeout-ms", 0, "give up after so many milliseconds (0: the server's default)")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"table", "json", "ndjson", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (f *queryFlags) run(c *cobra.Command, text string) error {
	wire := f.format
	switch f.format {
	case "table":
		wire = "json"
	case "json", "ndjson", "csv":
	default:
		return cli.Usagef("--format %q is none of table, json, ndjson, csv", f.format)
	}
	req := client.Request{SQL: text, Format: wire, TimeoutMS: f.timeoutMS}
	if f.minLSN != "" {
		lsn, err := schemas.ParseLSN(f.minLSN)
		if err != nil {
			return err
		}
		req.MinLSN, req.WaitMS = &lsn, &f.waitMS
	}
	warehouse := client.Client{URL: f.url}
	if f.format == "table" {
		r, err := warehouse.Query(c.Context(), req)
		if err != nil {
			return pointAt(err, text)
		}
		return printTable(c.OutOrStdout(), c.ErrOrStderr(), r)
	}
	body, err := warehouse.Raw(c.Context(), req)
	if err != nil {
		return pointAt(err, text)
	}
	defer body.Close()
	_, err = io.Copy(c.OutOrStdout(), body)
	return client.Broken(err)
}

// pointAt shows where in the statement an error is.
func pointAt(err error, text string) error {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return err
	}
	if lines := strings.Split(text, "\n"); e.Pos.Line > 0 && e.Pos.Line <= len(lines) {
		pointed := *e
		pointed.Message += fmt.Sprintf("\n%s\n%s^", lines[e.Pos.Line-1], strings.Repeat(" ", max(0, e.Pos.Column-1)))
		pointed.Pos = schemas.Pos{}
		return &pointed
	}
	return err
}

func printTable(w, notes io.Writer, r *client.Result) error {
	var t textable.Table
	for _, c := range r.Columns {
		t.Column(c.Name, textable.IsNumber(c.Type))
	}
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, raw := range row {
			cells[i] = cell(raw)
		}
		t.Row(cells...)
	}
	if err := t.Write(w); err != nil {
		return err
	}
	plural := "s"
	if len(r.Rows) == 1 {
		plural = ""
	}
	fmt.Fprintf(w, "(%d row%s)\n", len(r.Rows), plural)
	fmt.Fprintf(notes, "as of LSN %s, %.1f ms behind; %.1f ms\n", r.Snapshot.LSN, r.Stats.Freshness, r.Stats.Plan+r.Stats.Exec)
	return nil
}

// cell shows a JSON value as psql would: strings bare, NULL as nothing.
func cell(raw json.RawMessage) string {
	switch {
	case string(raw) == "null":
		return ""
	case len(raw) > 0 && raw[0] == '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	}
	return string(raw)
}
