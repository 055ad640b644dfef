package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/node"
	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/columnstore/serve"
)

type serveFlags struct {
	data, http string
	memory     int64
	queries    int64
	verbose    bool
}

func newServe() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a warehouse's data folder over HTTP",
		Long: `serve answers SQL over HTTP from the data folder of a warehouse, such as a run of
"etl run" or "etl demo" with --data left behind.`,
		Example: "  warehouse serve --data ./millrace-data\n  warehouse serve --data ./millrace-data --http 127.0.0.1:9000",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	c.Flags().StringVar(&f.data, "data", "./millrace-data", "data folder; the warehouse is in its folder warehouse")
	c.Flags().StringVar(&f.http, "http", "127.0.0.1:8080", "address to serve on; port 0 for a free one")
	c.Flags().Int64Var(&f.memory, "memory", 2<<30, "memory budget of the store, in bytes")
	c.Flags().Int64Var(&f.queries, "query-memory", 1<<30, "memory that all queries share, in bytes; one has at most 512 MiB")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log changes of state")
	return c
}

func (f *serveFlags) run(c *cobra.Command) error {
	log := cli.Logger(os.Stderr, f.verbose)
	l, err := node.Listen(f.http, "--http")
	if err != nil {
		return err
	}
	defer l.Close()
	registry := node.NewRegistry()
	var fresh serve.Freshness
	store, err := columnstore.Open(columnstore.Options{
		Dir: node.WarehouseDir(f.data), MemoryBudget: f.memory, Logger: log, Registerer: registry, OnVisible: fresh.Visible,
	})
	if err != nil {
		return err
	}
	defer store.Close()
	handler := serve.New(store, serve.Options{Logger: log, Gatherer: registry, Freshness: &fresh, Query: query.Options{TotalMemory: f.queries}})
	fmt.Fprintf(c.OutOrStdout(), "serving %s on http://%s\n", f.data, l.Addr())
	return node.Serve(c.Context(), node.NewServer(handler, log), l)
}
