// Command etl runs Millrace's pipelines, from a source database to the warehouse.
package main

import (
	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "etl",
		Short: "Keep a columnar copy of a database, milliseconds behind it",
		Long: `etl follows a database (PostgreSQL, or Millrace's own engine), transforms its changes
as a YAML pipeline says, and keeps an exact columnar copy that answers SQL over HTTP.`,
	}
	root.AddCommand(newDemo(), newRun(), newValidate(), newInit(), newStatus())
	return root
}
