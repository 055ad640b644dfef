package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/cmd/internal/textable"
	"github.com/millrace/millrace/columnstore/httpapi"
)

// status is the document of `etl status --json`.
type status struct {
	Sources []httpapi.SourceFreshness `json:"sources"`
	Tables  []httpapi.TableInfo       `json:"tables"`
}

func newStatus() *cobra.Command {
	var url string
	var asJSON bool
	c := &cobra.Command{
		Use:     "status",
		Short:   "Tell how far a running pipeline is",
		Long:    "status asks a warehouse for its sources, how far behind they are, and the state of each table.",
		Example: "  etl status\n  etl status --url http://127.0.0.1:8080 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			warehouse := client.Client{URL: url}
			var s status
			if err := warehouse.Get(c.Context(), "/v1/freshness", &s); err != nil {
				return err
			}
			if err := warehouse.Get(c.Context(), "/v1/tables", &s); err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(s)
			}
			return s.write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&url, "url", "http://127.0.0.1:8080", "address of the warehouse")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func (s *status) write(w io.Writer) error {
	var sources, tables textable.Table
	for _, name := range []string{"source", "visible up to", "of"} {
		sources.Column(name, false)
	}
	for _, name := range []string{"behind ms", "p50", "p95", "p99", "p999"} {
		sources.Column(name, true)
	}
	ms := func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }
	for _, x := range s.Sources {
		sources.Row(x.Source, x.LSN.String(), x.Time.Format(time.RFC3339), ms(x.FreshnessMS),
			ms(x.Visible.P50), ms(x.Visible.P95), ms(x.Visible.P99), ms(x.Visible.P999))
	}
	tables.Column("table", false)
	tables.Column("from", false)
	tables.Column("state", false)
	tables.Column("rows", true)
	for _, x := range s.Tables {
		rows := strconv.FormatInt(x.Rows, 10)
		if x.State == "loading" {
			rows = fmt.Sprintf("%d so far", x.RowsLoaded)
			if x.RowsTotal > 0 {
				rows = fmt.Sprintf("%d of about %d", x.RowsLoaded, x.RowsTotal)
			}
		}
		tables.Row(x.Name, x.Source, x.State, rows)
	}
	if err := sources.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return tables.Write(w)
}
