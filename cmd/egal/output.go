package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// templatePrefix begins the format of a template.
const templatePrefix = "go-template="

// output is how a reading verb prints what it has read.
type output struct {
	w         *world
	format    string
	json      bool
	noHeaders bool
	template  *template.Template // nil: none is wanted
}

// flags gives a command the flags of an output; formats besides json and yaml come first, the first is the default.
func (o *output) flags(cmd *cobra.Command, formats ...string) {
	all := append(formats, "json", "yaml", templatePrefix)
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "format: "+strings.Join(all, ", ")+"TEMPLATE")
	cmd.Flags().BoolVar(&o.json, "json", false, "the same as -o json")
	complete(cmd, "output", all...)
	if slices.Contains(formats, "table") {
		cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "no line with the names of the columns")
	}
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if o.json {
			o.format = "json"
		}
		text, isTemplate := strings.CutPrefix(o.format, templatePrefix)
		if !isTemplate {
			return oneOf("output", o.format, all...)
		}
		var err error
		if o.template, err = template.New("output").Option("missingkey=error").Parse(text); err != nil {
			return badTemplate(err)
		}
		return nil
	}
}

// badTemplate is the fault of a template that cannot be read, or not be carried out on the document.
func badTemplate(err error) error {
	return fail(exitUsage, "the fields are those of -o json, for example -o go-template='{{.schema}}'", "--output: %s", strings.TrimPrefix(err.Error(), "template: output:"))
}

// document prints a document as json, yaml, by a template or as the names that are in it, and false if another format is
// wanted.
func (o *output) document(document any, names []string) (done bool, err error) {
	switch {
	case o.template != nil:
		return true, o.fill(document)
	case o.format == "name":
		for _, name := range names {
			fmt.Fprintln(o.w.out, name)
		}
		return true, nil
	case o.format == "json":
		encoder := json.NewEncoder(o.w.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return true, encoder.Encode(document)
	case o.format == "yaml":
		return true, writeYAML(o.w.out, document)
	default:
		return false, nil
	}
}

// fill carries out the template on the document as JSON has it. Nothing is printed when that fails half-way.
func (o *output) fill(document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // 16384 and not 16384.0
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := o.template.Execute(&b, tree); err != nil {
		return badTemplate(err)
	}
	_, err = b.WriteTo(o.w.out)
	return err
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

// symbols colours the symbols of states.
func (p painter) symbols(text string) string {
	return strings.NewReplacer("● ", p.paint(green, "●")+" ", "○ ", p.paint(red, "○")+" ", "◐ ", p.paint(yellow, "◐")+" ").Replace(text)
}

func (p painter) paint(color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
