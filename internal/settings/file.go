package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a configuration file.
const (
	// MaxFileBytes is the size of the largest file that is read.
	MaxFileBytes = 1 << 20
	// maxNesting is how many brackets may be open at once, and how many blanks and dashes a line may begin with.
	maxNesting = 256
	// maxFaults is how many faults of a file are named.
	maxFaults = 50
)

// ReadFile takes the content of a YAML file; name is how messages call it. Everything that is valid is taken even when
// something else is not, and all faults are joined.
func (v *Values) ReadFile(name string, content []byte) error {
	if len(content) > MaxFileBytes {
		return &Fault{Where: name, Problem: fmt.Sprintf("the file has %d bytes, at most %d", len(content), MaxFileBytes)}
	}
	if line := tooDeep(content); line > 0 {
		return &Fault{Where: at(name, line), Problem: fmt.Sprintf("nested deeper than %d levels or blanks", maxNesting)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil // nothing but comments
	case err != nil:
		return &Fault{Where: name, Problem: strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return &Fault{Where: name, Problem: "more than one YAML document"}
	}
	reader := fileReader{values: v, name: name, seen: make(map[string]int)}
	reader.document(&document)
	if more := len(reader.faults) - maxFaults; more > 0 {
		last := &Fault{Where: name, Problem: fmt.Sprintf("%d more faults", more)}
		reader.faults = append(reader.faults[:maxFaults], last)
	}
	return errors.Join(reader.faults...)
}

// tooDeep finds the line at which a file nests far deeper than settings do: the work of a YAML parser grows with the
// square of the depth, so the depth is bounded before it sees the file. 0: there is no such line.
func tooDeep(content []byte) int {
	line, open, indent, atStart := 1, 0, 0, true
	for _, c := range content {
		switch c {
		case '\n':
			line, indent, atStart = line+1, 0, true
			continue
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		}
		// Block sequences nest within a line ("- - -"), so dashes and question marks count as blanks.
		if atStart = atStart && (c == ' ' || c == '-' || c == '?' || c == '\t' || c == ':'); atStart {
			indent++
		}
		if open > maxNesting || indent > maxNesting {
			return line
		}
	}
	return 0
}

func at(name string, line int) string { return fmt.Sprintf("%s:%d", name, line) }

// fileReader walks through the nodes of one file.
type fileReader struct {
	values *Values
	name   string
	seen   map[string]int // key → line
	faults []error
}

func (r *fileReader) fault(n *yaml.Node, key, problem string) {
	r.faults = append(r.faults, &Fault{Where: at(r.name, n.Line), Key: key, Problem: problem})
}

func (r *fileReader) document(document *yaml.Node) {
	if len(document.Content) != 1 {
		return
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
	case root.Kind == yaml.MappingNode:
		r.mapping(root, "")
	default:
		r.fault(root, "", "want settings as key: value")
	}
}

// mapping takes the pairs of the file itself, section "", or of one of its sections.
func (r *fileReader) mapping(n *yaml.Node, section string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Anchor != "" {
			r.fault(name, "", "want a plain key")
			continue
		}
		key := name.Value
		if section != "" {
			key = section + "." + key
		}
		if first, twice := r.seen[key]; twice {
			r.fault(name, key, fmt.Sprintf("given twice, first in line %d", first))
			continue
		}
		r.seen[key] = name.Line
		if section == "" && r.values.registry.isSection(key) {
			r.section(content, key)
			continue
		}
		r.setting(name, content, key)
	}
}

func (r *fileReader) section(n *yaml.Node, section string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null": // an empty section
	case n.Kind == yaml.MappingNode && n.Anchor == "":
		r.mapping(n, section)
	default:
		r.fault(n, section, "want the settings of this section below it")
	}
}

func (r *fileReader) setting(name, n *yaml.Node, key string) {
	origin := Origin{Source: FromFile, Where: at(r.name, name.Line)}
	var err error
	switch {
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		err = &Fault{Where: origin.Where, Key: key, Problem: "anchors and aliases are not used here"}
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		if _, err = r.values.registry.lookup(key, origin.Where); err == nil {
			err = &Fault{Where: origin.Where, Key: key, Problem: "no value", Hint: `"" is the empty one`}
		}
	case n.Kind == yaml.ScalarNode:
		err = r.values.Set(key, n.Value, origin)
	case n.Kind == yaml.SequenceNode:
		err = r.list(n, key, origin)
	default:
		if _, err = r.values.registry.lookup(key, origin.Where); err == nil {
			err = &Fault{Where: origin.Where, Key: key, Problem: "want a value, not a section"}
		}
	}
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

func (r *fileReader) list(n *yaml.Node, key string, origin Origin) error {
	items := make([]string, 0, min(len(n.Content), maxListItems+1))
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.Anchor != "" || item.Tag == "!!null" {
			return &Fault{Where: at(r.name, item.Line), Key: key, Problem: "want plain items"}
		}
		if items = append(items, item.Value); len(items) > maxListItems {
			break
		}
	}
	return r.values.SetList(key, items, origin)
}

func (r *Registry) isSection(name string) bool {
	for _, s := range r.settings {
		if s.Section() == name {
			return name != ""
		}
	}
	return false
}
