package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/follow"
	"github.com/millrace/millrace/cmd/internal/node"
)

type runFlags struct {
	data, http, kafka string
	workers           int
	memory, queries   int64
	quiet             bool
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Run a pipeline in one process: capture, broker, workers and warehouse",
		Long: `run follows the pipeline's source into a warehouse, all in this process, until Ctrl-C.
Started again on the same data folder it goes on where it was.`,
		Example: "  export MILLRACE_PG_DSN=postgres://millrace@localhost:5432/app\n  etl run pipelines/pgbench.yaml --data ./millrace-data",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVar(&f.data, "data", "./millrace-data", "data folder, made when missing, resumed when it exists")
	c.Flags().StringVar(&f.http, "http", "127.0.0.1:8080", "address of the warehouse; port 0 for a free one")
	c.Flags().StringVar(&f.kafka, "kafka", "127.0.0.1:19092", "address of the embedded broker; port 0 for a free one")
	c.Flags().IntVar(&f.workers, "workers", 2, "transform workers")
	c.Flags().Int64Var(&f.memory, "memory", 2<<30, "memory budget of the warehouse's store, in bytes")
	c.Flags().Int64Var(&f.queries, "query-memory", 1<<30, "memory that all queries share, in bytes; one has at most 512 MiB")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "log only warnings")
	return c
}

func (f *runFlags) run(c *cobra.Command, file string) (err error) {
	if f.workers < 1 || f.memory < 64<<20 || f.queries < 64<<20 {
		return cli.Usagef("--workers must be at least 1, --memory and --query-memory at least 64 MiB")
	}
	log := cli.Logger(os.Stderr, !f.quiet)
	spec, err := follow.Load(file)
	if err != nil {
		return err
	}
	plan, err := follow.Plan(c.Context(), spec, log)
	if err != nil {
		return err
	}
	for _, n := range plan.Notices {
		fmt.Fprintln(c.ErrOrStderr(), "note: ", n)
	}
	registry := node.NewRegistry()
	source, err := follow.Source(spec, plan, follow.Options{Logger: log, Registry: registry})
	if err != nil {
		return err
	}
	defer source.Close()
	n, err := node.Open(node.Options{
		Spec: spec, Plan: plan, Source: source, Dir: f.data, HTTP: f.http, Kafka: f.kafka,
		Workers: f.workers, Memory: f.memory, QueryMemory: f.queries, Logger: log, Registry: registry,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	fmt.Fprintf(c.OutOrStdout(), "pipeline %s: %d tables into %s, answering on %s\n", spec.Pipeline, len(plan.Tables), f.data, n.URL)
	fmt.Fprintf(c.OutOrStdout(), "see how far it is with: etl status --url %s\n", n.URL)
	return n.Run(c.Context())
}
