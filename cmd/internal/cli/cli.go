// Package cli is what both programs share on the command line: exit codes, flags
// from the environment, version, and how errors are printed.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace/millrace/pipelines"
	"github.com/millrace/millrace/schemas"
)

// The exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitInvalid     = 2 // flags, files or statements that cannot be right
	ExitEnvironment = 3 // something around the program: a port, a server, a disk
)

// EnvPrefix starts the environment variable of every flag: --http-port is
// MILLRACE_HTTP_PORT. A flag given on the command line wins.
const EnvPrefix = "MILLRACE_"

// exits is the one mapping of error codes to exit codes; the rest is ExitFailed.
var exits = map[schemas.Code]int{
	schemas.CodeSyntax: ExitInvalid, schemas.CodeUnsupported: ExitInvalid, schemas.CodeUnknownTable: ExitInvalid,
	schemas.CodeUnknownColumn: ExitInvalid, schemas.CodeUnknownFunc: ExitInvalid, schemas.CodeAmbiguous: ExitInvalid,
	schemas.CodeType: ExitInvalid, schemas.CodeInvalidText: ExitInvalid, schemas.CodeInvalid: ExitInvalid,
	schemas.CodeInUse: ExitEnvironment, schemas.CodeSource: ExitEnvironment, schemas.CodeStream: ExitEnvironment,
	schemas.CodeDiskFull: ExitEnvironment, schemas.CodeIO: ExitEnvironment, schemas.CodeUnauthorized: ExitEnvironment,
	schemas.CodeForbidden: ExitEnvironment,
}

// usageError is a wrong use of the command line, as cobra finds it.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

// ExitCode maps an error to the process's exit code.
func ExitCode(err error) int {
	var usage usageError
	var file *pipelines.Errors
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &usage), errors.As(err, &file):
		return ExitInvalid
	}
	if code, ok := exits[schemas.CodeOf(err)]; ok {
		return code
	}
	return ExitFailed
}

// Main runs a program until it ends or is interrupted, and exits. The first
// SIGINT or SIGTERM ends it cleanly; a second one kills it.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // back to the default: the next signal kills
	}()
	os.Exit(Run(ctx, root, os.Stderr))
}

// Run executes a command line and returns its exit code; errors go to stderr.
func Run(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; `%s --help` lists the flags", err, c.CommandPath())}
	})
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return fromEnvironment(c.Flags()) }
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(versionCommand(root.Name()))
	markUsage(root)
	err := root.ExecuteContext(ctx)
	if err != nil {
		printError(stderr, err)
	}
	return ExitCode(asUsage(err))
}

// asUsage recognises cobra's complaint about an unknown command, which has no type.
func asUsage(err error) error {
	if err != nil && strings.HasPrefix(err.Error(), "unknown command") {
		return usageError{err}
	}
	return err
}

// markUsage makes every command's complaint about its arguments a usage error.
func markUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; use: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// printError shows message, place and hint, each on a line of its own.
func printError(w io.Writer, err error) {
	var file *pipelines.Errors
	if errors.As(err, &file) {
		fmt.Fprintln(w, file)
		return
	}
	var e *schemas.Error
	if !errors.As(err, &e) {
		fmt.Fprintln(w, "error:", err)
		return
	}
	hint := e.Hint
	short := *e
	short.Hint = ""
	text := err.Error()
	if hint != "" {
		text = strings.Replace(text, e.Error(), short.Error(), 1)
	}
	fmt.Fprintln(w, "error:", text)
	if hint != "" {
		fmt.Fprintln(w, "hint: ", hint)
	}
}

// fromEnvironment sets the flags that the command line left alone from MILLRACE_*.
func fromEnvironment(flags *pflag.FlagSet) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := EnvPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("environment variable %s: %w", name, err))
		}
	})
	if len(problems) > 0 {
		return usageError{errors.Join(problems...)}
	}
	return nil
}

// Usagef is a complaint about flags or arguments that only the command itself can find.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func versionCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), program, Version())
			return nil
		},
	}
}

// Version tells the module's version and, for a build from a checkout, its commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, revision, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " (modified)"
		}
	}
	if version == "" || version == "(devel)" {
		version = "development"
	}
	if revision != "" && !strings.Contains(version, revision) {
		version += " " + revision + dirty
	}
	return version + " " + info.GoVersion
}

// Logger writes to w for people: warnings and worse, or everything from Info up
// when verbose.
func Logger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
