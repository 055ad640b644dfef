package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/demo"
	"github.com/millrace/millrace/schemas"
)

func newDemo() *cobra.Command {
	var o demo.Options
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything in one process on a live workload, and verify it",
		Long: `demo runs the whole of Millrace in one process: the OLTP engine under an order-entry
workload, the embedded broker, two transform workers of pipelines/demo.yaml, the
warehouse, and analysts that query it. It shows throughput, freshness and percentiles
while it runs; at the end it compares every row of the warehouse with the source.`,
		Example: `  etl demo                            # until Ctrl-C
  etl demo --duration 60s --json      # one document on stdout
  etl demo --rate 50000 --data ./shop # faster, and kept for the next time`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Duration < 0 || o.Rate < 0 || o.QueryRate < 0 || o.Memory < 64<<20 {
				return cli.Usagef("--duration, --rate and --query-rate cannot be negative, and --memory must be at least 64 MiB")
			}
			o.Progress, o.Logger = os.Stderr, cli.Logger(os.Stderr, verbose)
			report, err := demo.Run(c.Context(), o)
			if err != nil || report == nil {
				return err
			}
			if asJSON {
				err = report.WriteJSON(c.OutOrStdout())
			} else {
				report.WriteText(c.OutOrStdout())
			}
			if err == nil && !report.Verified.Exact() {
				err = schemas.Errorf(schemas.CodeCorrupt, "", "the warehouse is not an exact copy: %s", report.Verified.First)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Engine, "engine", "lsm", "storage engine of the source database: lsm")
	f.DurationVar(&o.Duration, "duration", 0, "stop after, such as 60s (0: until Ctrl-C)")
	f.Float64Var(&o.Rate, "rate", 20_000, "row changes a second (0: as many as go)")
	f.Float64Var(&o.QueryRate, "query-rate", 20, "analysts' queries a second (0: none)")
	f.StringVar(&o.Dir, "data", "", "data folder, kept and resumed when it exists (default: a temporary one)")
	f.StringVar(&o.HTTP, "http", "127.0.0.1:8080", "address of the warehouse; port 0 for a free one")
	f.StringVar(&o.Kafka, "kafka", "127.0.0.1:0", "address of the embedded broker; port 0 for a free one")
	f.Int64Var(&o.Memory, "memory", 1<<30, "memory budget of the warehouse's store, in bytes")
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "seed of the workload's choices")
	f.Lookup("seed").DefValue = "random"
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON document on stdout")
	f.BoolVarP(&verbose, "verbose", "v", false, "log changes of state")
	_ = c.RegisterFlagCompletionFunc("engine", cobra.FixedCompletions([]string{"lsm"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}
