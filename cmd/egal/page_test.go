package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// page is the reference page of all commands in Markdown.
func page(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nMade from the commands in `cmd/egal`; do not edit.\n\n" +
		"Data goes to stdout, messages to stderr. Colour is for terminals, without `NO_COLOR`. Every verb that reads has `-o json`, `-o yaml` and\n" +
		"`-o go-template=TEMPLATE`, a template of Go over the fields that `-o json` shows; `-o name` prints names alone, a line for each.\n" +
		"[api.md](api.md) has the documents.\n\n" +
		"`egal completion bash|zsh|fish|powershell` prints a completion script; `egal completion bash --help` says where to put it. It offers\n" +
		"the names of members, asked from the node that `--data` or `--addr` names, settings and their values.\n\n")
	b.WriteString(strings.ReplaceAll(exitCodesHelp, "Exit codes:", "## Exit codes\n\n```") + "\n```\n\n`start` and `demo` end with 0 when a signal asks them to stop.\n")
	describe(&b, root)
	return b.String()
}

func describe(b *strings.Builder, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "completion" {
			continue
		}
		fmt.Fprintf(b, "\n## %s\n\n", c.UseLine())
		if c.Long != "" {
			b.WriteString(c.Long + "\n")
		} else {
			b.WriteString(c.Short + ".\n")
		}
		if c.Example != "" {
			fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		}
		flags := 0
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if flags++; flags == 1 {
				b.WriteString("\n| flag | default | what |\n|---|---|---|\n")
			}
			name, initial := "`--"+f.Name+"`", ""
			if f.Shorthand != "" {
				name += ", `-" + f.Shorthand + "`"
			}
			if f.DefValue != "" && f.DefValue != "false" {
				initial = "`" + f.DefValue + "`"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", name, initial, f.Usage)
		})
		describe(b, c)
	}
}
