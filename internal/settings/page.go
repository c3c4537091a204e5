package settings

import (
	"fmt"
	"strings"
	"time"
)

// Page is the reference page of all settings in Markdown.
func (r *Registry) Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	section := "\x00"
	for _, s := range r.settings {
		if s.Section() != section {
			section = s.Section()
			title := "The node"
			if section != "" {
				title = "`" + section + "`"
			}
			fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | range | changes by | flag | what |\n|---|---|---|---|---|---|---|\n", title)
		}
		changes := "restart"
		if s.Hot {
			changes = "at once"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			s.Key, s.Type, code(s.Default), s.bounds(), changes, code(dashed(s.Flag)), s.Doc)
	}
	return b.String()
}

const pageHead = `# Configuration

Made from the registry in ` + "`internal/settings`" + `; do not edit.

A flag wins over an environment variable, that over the file, that over the default. ` + "`egal config show --origin`" + ` prints every
value with where it comes from; ` + "`egal config check FILE`" + ` looks for faults. The file is the one that ` + "`--config`" + ` names, else ` + "`egal.yaml`" + ` in the data
directory, if it is there.

` + "`egal config set KEY VALUE`" + ` and ` + "`PATCH /api/v1/settings`" + ` write to that file; a running node takes at once what changes at once, and the rest
at its next start. So it does with what a person has written there, at SIGHUP. Where a flag or a variable wins over the file, it wins
again at the next start.

- The file is YAML with one level of sections: ` + "`fabric.listen`" + ` is ` + "`listen:`" + ` below ` + "`fabric:`" + `. An unknown key, or one given twice, is an error.
- The variable of ` + "`fabric.listen`" + ` is ` + "`EGAL_FABRIC_LISTEN`" + `, that of ` + "`data`" + ` is ` + "`EGAL_DATA`" + `. A list is parted by commas.
- Durations: ` + "`500ms`, `2s`, `1m30s`" + `. Sizes: ` + "`512KiB`, `10MiB`, `1GiB`" + `; without a unit they are bytes.
- The file has at most 1 MiB, no aliases, and one document.
`

func dashed(name string) string {
	if name == "" {
		return ""
	}
	return "--" + name
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// bounds is the range of values in words.
func (s Setting) bounds() string {
	switch s.Type {
	case Int:
		return fmt.Sprintf("%d to %d", s.Min, s.Max)
	case Duration:
		return fmt.Sprintf("%v to %v", time.Duration(s.Min), time.Duration(s.Max))
	case Bytes:
		return fmt.Sprintf("%s to %s", formatBytes(s.Min), formatBytes(s.Max))
	case Enum:
		return strings.Join(s.Choices, ", ")
	default:
		return ""
	}
}
