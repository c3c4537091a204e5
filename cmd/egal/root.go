package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/egalcluster/egal/internal/settings"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run executes one command line and returns the exit code.
func run(ctx context.Context, w *world, args []string) int {
	root := newRoot(w) //nolint:contextcheck // cobra hands the context to the command
	root.SetArgs(args)
	return report(w.err, root.ExecuteContext(ctx))
}

func newRoot(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:   "egal",
		Short: "A cluster of equal nodes in one binary",
		Long:  "A cluster of equal nodes in one binary: no centre, no leader that everything hangs on.",
		Example: `  egal demo                              # three nodes in this process, to play with
  egal start                             # one node, data in ./egal-data
  egal start --data b --join host:7946   # another one that joins it
  egal status`,
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown("command", args[0], verbs(cmd), "egal --help")
	}
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(root.HelpTemplate() + "\n" + exitCodesHelp + "\n\nMore: docs/reference/cli.md\n")
	root.PersistentFlags().String("color", "auto", "colours: auto, always or never; NO_COLOR turns auto off")
	root.AddCommand(demoCommand(w), startCommand(w), statusCommand(w), nodeCommand(w), jobCommand(w), gossipCommand(w), configCommand(w), certCommand(w), versionCommand(w))
	complete(root, "color", "auto", "always", "never")
	return root
}

// complete offers the values of a flag to the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// The only error is a flag that does not exist, or one that is registered already: then there is no completion.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// verbs are the names of the commands below a command.
func verbs(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// unknown is the fault of a word that is none of those that can stand there.
func unknown(what, word string, known []string, help string) error {
	hint := "`" + help + "` lists all"
	if near, found := settings.Nearest(word, known); found {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return fail(exitUsage, hint, "unknown %s %q", what, word)
}

func flagError(cmd *cobra.Command, err error) error {
	help := cmd.CommandPath() + " --help"
	missing := (*pflag.NotExistError)(nil)
	if !asError(err, &missing) || missing.GetSpecifiedName() == "" || len(missing.GetSpecifiedName()) == 1 {
		return fail(exitUsage, "`"+help+"` shows the flags", "%w", err)
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return unknown("flag", "--"+missing.GetSpecifiedName(), known, help)
}

// noArguments refuses arguments, exactly takes that many.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fail(exitUsage, "`"+cmd.CommandPath()+" --help` shows how it is used", "%s takes no argument: %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fail(exitUsage, "`"+cmd.CommandPath()+" --help` shows how it is used", "%s wants %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// group is a command that only has others below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknown("command", cmd.Name()+" "+args[0], prefixed(cmd.Name()+" ", verbs(cmd)), cmd.CommandPath()+" --help")
	}
	return cmd
}

func prefixed(prefix string, words []string) []string {
	words = slices.Clone(words)
	for i := range words {
		words[i] = prefix + words[i]
	}
	return words
}

// oneOf checks the value of a flag with few values.
func oneOf(flag, value string, known ...string) error {
	if !slices.Contains(known, value) {
		return fail(exitUsage, "", "--%s %q: want %s", flag, value, strings.Join(known, ", "))
	}
	return nil
}
