package main

import (
	"fmt"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

func versionCommand(w *world) *cobra.Command {
	o := &output{w: w}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print what was built, and from what",
		Example: "  egal version\n  egal version -o json",
		Args:    noArguments,
	}
	o.flags(cmd, "text", "name")
	cmd.RunE = func(*cobra.Command, []string) error {
		build := egal.Version()
		if done, err := o.document(web.Version{Schema: web.Schema, Build: build}, []string{build.Version}); done {
			return err
		}
		line := fmt.Sprintf("egal %s %s %s", build.Version, build.Go, build.Platform)
		if build.Revision != "" {
			line += " " + build.Revision
		}
		if build.Modified {
			line += " modified"
		}
		fmt.Fprintln(w.out, line)
		return nil
	}
	return cmd
}
