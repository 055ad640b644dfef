package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/follow"
	"github.com/millrace/millrace/pipelines"
)

func newInit() *cobra.Command {
	var source, name string
	c := &cobra.Command{
		Use:   "init --source postgres://…",
		Short: "Write a commented pipeline for the tables of a database",
		Long: `init connects to a database, looks at its tables, and prints a pipeline file for them,
with comments. It changes nothing; the password of the address is not in the file.`,
		Example: `  etl init --source postgres://me@localhost:5432/app > pipeline.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if source == "" {
				return cli.Usagef("--source is missing: give the address of a database, such as postgres://me@localhost:5432/app")
			}
			if err := pipelines.CheckName(name); err != nil {
				return err
			}
			found, err := follow.Find(c.Context(), source, cli.Logger(os.Stderr, false))
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(pipelines.Generate(name, pipelines.SourcePostgres, found))
			return err
		},
	}
	c.Flags().StringVar(&source, "source", "", "address of the database: postgres://user:password@host:5432/database")
	c.Flags().StringVar(&name, "name", "app", "name of the pipeline")
	return c
}
