package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Edit returns the content of a configuration file with one setting changed; name is how messages call the file.
// Comments, order and all other settings stay as they are. It refuses a file that has faults, a setting that is the
// same on all nodes, and the rare spelling (a block of text, several lines in brackets) that it cannot replace.
//
// The change is made in the text, since a YAML encoder would lose blank lines and indentation. What comes out is read
// again: only if the one setting has changed, and to what was asked for, is it returned.
func (r *Registry) Edit(name string, content []byte, key, text string) ([]byte, error) {
	s, err := r.lookup(key, "")
	if err != nil {
		return nil, err
	}
	if s.ClusterWide {
		return nil, &Fault{Key: key, Problem: "all nodes have the same value, so it is not in a node's file"}
	}
	parsed, err := s.parse(text)
	if err != nil {
		return nil, &Fault{Key: key, Problem: err.Error()}
	}
	before := r.Values()
	if err := before.ReadFile(name, content); err != nil {
		return nil, err
	}
	e := editor{content: content, newline: "\n", setting: s, value: parsed}
	if bytes.Contains(content, []byte("\r\n")) {
		e.newline = "\r\n"
	}
	edited, line := e.edit()
	if len(edited) > MaxFileBytes || oddLines(edited) || !r.differInOne(before, name, edited, s, parsed) {
		where := name
		if line > 0 {
			where = at(name, line)
		}
		return nil, &Fault{Where: where, Key: key, Problem: "is written in a way that only a person can change", Hint: "edit the file by hand"}
	}
	return edited, nil
}

// differInOne tells whether an edited file says what it said before, but for one setting.
func (r *Registry) differInOne(before *Values, name string, edited []byte, changed Setting, parsed any) bool {
	after := r.Values()
	if after.ReadFile(name, edited) != nil {
		return false
	}
	for _, s := range r.settings {
		text, source := before.Text(s.Key), before.Origin(s.Key).Source
		if s.Key == changed.Key {
			text, source = format(parsed), FromFile
			if n, ok := parsed.(int64); ok && s.Type == Bytes {
				text = formatBytes(n)
			}
		}
		if after.Text(s.Key) != text || after.Origin(s.Key).Source != source {
			return false
		}
	}
	return true
}

// oddLines tells whether a file has ends of lines that YAML counts and nobody else does.
func oddLines(content []byte) bool {
	return bytes.ContainsAny(bytes.ReplaceAll(content, []byte("\r\n"), nil), "\r\u0085\u2028\u2029")
}

// editor changes one setting in the text of a file.
type editor struct {
	content []byte
	newline string
	setting Setting
	value   any
}

// edit returns the new text, and the line that it concerns; nil if it does not know how.
func (e *editor) edit() (edited []byte, line int) {
	if oddLines(e.content) {
		return nil, 0
	}
	var document yaml.Node
	if err := yaml.Unmarshal(e.content, &document); err != nil {
		return nil, 0
	}
	section, name := e.setting.Section(), e.setting.Name()
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return e.appended(section, name), 0
	}
	root := document.Content[0]
	if section == "" {
		return e.put(root, name)
	}
	key, settings := find(root, section)
	switch {
	case key == nil && root.Style&yaml.FlowStyle != 0:
		return e.insert(e.offset(root.Line, root.Column)+1, section+": {"+name+": "+e.scalar(true)+"}"+comma(root)), root.Line
	case key == nil:
		return e.appended(section, name), 0
	case settings.Kind == yaml.MappingNode:
		return e.put(settings, name)
	default: // an empty section
		return e.insertLine(key.Line, strings.Repeat(" ", key.Column+1)+name+": "+e.scalar(false)), key.Line
	}
}

// appended puts a setting at the end of the file.
func (e *editor) appended(section, name string) []byte {
	text := name + ": " + e.scalar(false) + e.newline
	if section != "" {
		text = section + ":" + e.newline + "  " + text
	}
	if n := len(e.content); n > 0 && e.content[n-1] != '\n' {
		text = e.newline + text
	}
	return e.insert(len(e.content), text)
}

// put sets a name in a mapping.
func (e *editor) put(mapping *yaml.Node, name string) (edited []byte, line int) {
	key, value := find(mapping, name)
	switch {
	case key != nil && value.Kind == yaml.SequenceNode && value.Style&yaml.FlowStyle == 0:
		return e.replaceItems(key, value), key.Line
	case key != nil:
		return e.replace(value, mapping.Style&yaml.FlowStyle != 0), key.Line
	case mapping.Style&yaml.FlowStyle != 0:
		return e.insert(e.offset(mapping.Line, mapping.Column)+1, name+": "+e.scalar(true)+comma(mapping)), mapping.Line
	default:
		last := lastLine(mapping)
		return e.insertLine(last, strings.Repeat(" ", mapping.Content[0].Column-1)+name+": "+e.scalar(false)), last
	}
}

// replace puts the new value in the place of one on a single line.
func (e *editor) replace(value *yaml.Node, flow bool) []byte {
	from := e.offset(value.Line, value.Column)
	rest := e.content[from:]
	if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
		rest = rest[:end]
	}
	length := -1
	switch {
	case value.Kind == yaml.SequenceNode:
		length = closing(rest, ']')
	case value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
	case value.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && len(rest) > 0:
		length = closing(rest, rest[0])
	case value.Kind == yaml.ScalarNode && bytes.HasPrefix(rest, []byte(value.Value)):
		length = len(value.Value)
	}
	if length < 0 {
		return nil
	}
	return slices.Concat(e.content[:from], []byte(e.scalar(flow)), e.content[from+length:])
}

// closing is the length of text from its first byte, an opening quote or bracket, to the closing one; -1: there is none.
func closing(text []byte, closer byte) int {
	quote := byte(0)
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && closer == ']' && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0 && quote != '"':
		case c == '\\' && (closer == '"' || quote == '"'):
			i++
		case quote == 0 && c == closer && closer == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		case quote == 0 && c == closer:
			return i + 1
		}
	}
	return -1
}

// replaceItems changes a list that has its items below each other. Items that stay keep their lines, with the comments
// above them.
func (e *editor) replaceItems(key, list *yaml.Node) []byte {
	items, _ := e.value.([]string)
	if len(items) == 0 || len(list.Content) == 0 {
		return nil
	}
	first, last := list.Content[0], list.Content[len(list.Content)-1]
	lines := bytes.SplitAfter(e.content, []byte("\n"))
	if first.Line <= key.Line || last.Line > len(lines) {
		return nil
	}
	prefix := e.content[e.offset(first.Line, 1):e.offset(first.Line, first.Column)]
	kept := make(map[string][]byte, len(list.Content))
	from := first.Line
	for _, item := range list.Content {
		kept[strings.TrimSpace(item.Value)] = bytes.Join(lines[from-1:item.Line], nil)
		from = item.Line + 1
	}
	var b bytes.Buffer
	b.Write(bytes.Join(lines[:first.Line-1], nil))
	for _, item := range items {
		line, ok := kept[item]
		if !ok {
			line = []byte(string(prefix) + quote(item, false) + e.newline)
		} else if !bytes.HasSuffix(line, []byte("\n")) {
			line = append(slices.Clone(line), e.newline...)
		}
		b.Write(line)
	}
	b.Write(bytes.Join(lines[last.Line:], nil))
	return b.Bytes()
}

func (e *editor) insert(at int, text string) []byte {
	return slices.Concat(e.content[:at], []byte(text), e.content[at:])
}

// insertLine puts a line after another one, counted from 1.
func (e *editor) insertLine(after int, text string) []byte {
	at := e.offset(after+1, 1)
	if at > 0 && e.content[at-1] != '\n' {
		return e.insert(at, e.newline+text)
	}
	return e.insert(at, text+e.newline)
}

// offset is where a line and a column, both counted from 1, the latter in characters, are in the content.
func (e *editor) offset(line, column int) int {
	at := 0
	for ; line > 1; line-- {
		end := bytes.IndexByte(e.content[at:], '\n')
		if end < 0 {
			return len(e.content)
		}
		at += end + 1
	}
	for ; column > 1 && at < len(e.content); column-- {
		_, size := utf8.DecodeRune(e.content[at:])
		at += size
	}
	return at
}

// scalar is the new value in YAML; flow: between brackets.
func (e *editor) scalar(flow bool) string {
	switch v := e.value.(type) {
	case bool, int64:
		if e.setting.Type == Bytes {
			return formatBytes(v.(int64))
		}
		return format(v)
	case []string:
		quoted := make([]string, len(v))
		for i, item := range v {
			quoted[i] = quote(item, true)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	default:
		return quote(format(v), flow)
	}
}

// quote writes a string in YAML, with quotes only where it needs them.
func quote(text string, flow bool) string {
	encoded, err := yaml.Marshal(text)
	plain := strings.TrimSuffix(string(encoded), "\n")
	if err == nil && !strings.Contains(plain, "\n") && (!flow || !strings.ContainsAny(text, ",[]{}#'\"")) {
		return plain
	}
	quoted, err := json.Marshal(text) // JSON is YAML
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return string(quoted)
}

// find returns the key and the value of a name in a mapping, or nils.
func find(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// comma parts a first entry from those that a mapping in brackets has.
func comma(mapping *yaml.Node) string {
	if len(mapping.Content) == 0 {
		return ""
	}
	return ", "
}

// lastLine is the last line in which something below a node begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, child := range n.Content {
		last = max(last, lastLine(child))
	}
	return last
}
