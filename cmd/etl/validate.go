package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/cdc/postgres"
	"github.com/millrace/millrace/cmd/internal/cli"
	"github.com/millrace/millrace/cmd/internal/follow"
	"github.com/millrace/millrace/schemas"
)

func newValidate() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate PIPELINE",
		Short: "Check a pipeline file and its source, and say what to do",
		Long: `validate reads the pipeline, connects to its source and lists everything that would keep
it from running, all at once, each with its place or the SQL that settles it. It
changes nothing. Exit 0: it can run; 2: the file or the source must change.`,
		Example: "  etl validate pipelines/pgbench.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			log := cli.Logger(os.Stderr, false)
			spec, err := follow.Load(args[0])
			if err != nil {
				return err
			}
			plan, err := follow.Plan(c.Context(), spec, log)
			if err != nil {
				return err
			}
			source, err := follow.Source(spec, plan, follow.Options{Logger: log})
			if err != nil {
				return err
			}
			defer source.Close()
			findings, err := source.Validate(c.Context())
			if err != nil {
				return err
			}
			return reportFindings(c.OutOrStdout(), findings, plan.Notices, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func reportFindings(w io.Writer, findings []postgres.Finding, notices []string, asJSON bool) error {
	problems := 0
	for _, f := range findings {
		if f.Severity == postgres.SeverityError {
			problems++
		}
	}
	if asJSON {
		if findings == nil {
			findings = []postgres.Finding{}
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"ok": problems == 0, "findings": findings, "notices": notices}); err != nil {
			return err
		}
	} else {
		printFindings(w, findings, notices)
	}
	if problems > 0 {
		e := schemas.Errorf(schemas.CodeInvalid, "", "the source is not ready: %d to settle", problems)
		e.Hint = "run the SQL above, then validate again"
		return e
	}
	if !asJSON {
		fmt.Fprintln(w, "the pipeline can run")
	}
	return nil
}

func printFindings(w io.Writer, findings []postgres.Finding, notices []string) {
	for _, f := range findings {
		where := ""
		if f.Table != "" {
			where = f.Table + ": "
		}
		fmt.Fprintf(w, "%s: %s%s\n", f.Severity, where, f.Message)
		if f.Fix != "" {
			fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(f.Fix, "\n", "\n    "))
		}
	}
	for _, n := range notices {
		fmt.Fprintln(w, "note:", n)
	}
}
