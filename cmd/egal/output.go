package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output is how a reading verb prints what it has read.
type output struct {
	w         *world
	format    string
	json      bool
	noHeaders bool
}

// flags gives a command the flags of an output; formats besides json and yaml come first, the first is the default.
func (o *output) flags(cmd *cobra.Command, formats ...string) {
	all := append(formats, "json", "yaml")
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "format: "+strings.Join(all, ", "))
	cmd.Flags().BoolVar(&o.json, "json", false, "the same as -o json")
	complete(cmd, "output", all...)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if o.json {
			o.format = "json"
		}
		return oneOf("output", o.format, all...)
	}
}

// document prints a document as json or yaml, and false if another format is wanted.
func (o *output) document(document any) (done bool, err error) {
	switch o.format {
	case "json":
		encoder := json.NewEncoder(o.w.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return true, encoder.Encode(document)
	case "yaml":
		return true, writeYAML(o.w.out, document)
	default:
		return false, nil
	}
}

// writeYAML writes what json would, in its order and with its names: JSON is YAML in another style.
func writeYAML(w io.Writer, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return err
	}
	plain(&tree)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&tree); err != nil {
		return err
	}
	return encoder.Close()
}

// plain takes the style of JSON from a tree. Strings keep their tag, so that "1" stays a string.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// table lays rows out in columns; the first is the head.
func (o *output) table(rows [][]string) string {
	if o.noHeaders {
		rows = rows[1:]
	}
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	_ = columns.Flush() // a strings.Builder takes everything
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// Colours by their numbers in ANSI terminals. They repeat what a word or a symbol says.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// painter colours words, or leaves them as they are.
type painter bool

// paints decides by --color, NO_COLOR and the terminal.
func (w *world) paints(cmd *cobra.Command) (painter, error) {
	when, err := cmd.Root().PersistentFlags().GetString("color")
	if err != nil {
		return false, err
	}
	if err := oneOf("color", when, "auto", "always", "never"); err != nil {
		return false, err
	}
	auto := w.outTTY && w.getenv("NO_COLOR") == "" && w.getenv("TERM") != "dumb"
	return painter(when == "always" || when == "auto" && auto), nil
}

func (p painter) paint(color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
