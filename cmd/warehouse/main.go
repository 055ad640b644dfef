// Command warehouse serves a Millrace warehouse and asks it questions.
package main

import (
	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "warehouse",
		Short: "Serve and query the columnar warehouse",
		Long:  "warehouse serves the columnar copy of your operational database and asks it questions in SQL.",
	}
	root.AddCommand(newServe(), newQuery())
	return root
}
