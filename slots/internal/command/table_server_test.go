package command

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTableAgainstServer compares what COMMAND INFO and COMMAND DOCS say of every row with a real server. Our own
// words (summary, complexity, history, notes) and what only later versions say (display_text) are left out.
func TestTableAgainstServer(t *testing.T) {
	theirs, ours := startRedis(t), newServer(t)
	theirs.do("HELLO", "3")
	ours.session.Protocol = 3
	for _, row := range ours.table.Commands() {
		rows := []*Command{row}
		for i := range row.Subcommands {
			rows = append(rows, &row.Subcommands[i])
		}
		for _, row := range rows {
			if row.Container() && row.Name == "object" {
				continue // it lacks subcommands; those it has are compared
			}
			for _, question := range []string{"INFO", "DOCS"} {
				a := plain(theirs.do("COMMAND", question, row.FullName()))
				b := plain(ours.do("COMMAND", question, row.FullName()))
				if row.Name == "set" {
					b = strings.Replace(b, "%[name comparison-value type string token IFEQ since 8.1.0]", "", 1)
				}
				if a != b {
					t.Errorf("COMMAND %s %s\n theirs %s\n ours   %s", question, row.FullName(), a, b)
				}
			}
		}
	}
}

var ownWords = regexp.MustCompile(`^(summary|complexity|history|notes|display_text|replaced_by)$`)

// plain prints a reply without lengths and without the entries of maps that are worded freely.
func plain(reply string) string {
	r := bufio.NewReader(strings.NewReader(reply))
	return plainReply(r)
}

func plainReply(r *bufio.Reader) string {
	b, err := readReply(nil, r)
	if err != nil {
		return ""
	}
	header, body, _ := bytes.Cut(b, []byte("\r\n"))
	inner := bufio.NewReader(bytes.NewReader(body))
	var parts []string
	switch header[0] {
	case '$':
		return strings.TrimSpace(string(body))
	case '*', '~':
		for part := plainReply(inner); part != ""; part = plainReply(inner) {
			parts = append(parts, part)
		}
	case '%':
		for name := plainReply(inner); name != ""; name = plainReply(inner) {
			if value := plainReply(inner); !ownWords.MatchString(name) {
				parts = append(parts, name+" "+value)
			}
		}
	default:
		return string(header)
	}
	if len(parts) > 0 && (strings.HasPrefix(parts[0], "*[command|") || strings.HasPrefix(parts[0], "command|") && header[0] == '%') {
		slices.Sort(parts) // subcommands
	}
	separator := " "
	if header[0] != '%' && len(parts) > 0 && strings.HasPrefix(parts[0], "%[name ") {
		separator = ""
	}
	return string(header[:1]) + "[" + strings.Join(parts, separator) + "]"
}
