// Package report prints what a program has measured, and keeps the page that shows it.
package report

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Row is one measured line: its cells in the order of the table's columns.
type Row struct {
	Bench  string         `json:"bench"`
	Name   string         `json:"name"`
	Values map[string]any `json:"values"`
}

// A Table collects the rows of one program.
type Table struct {
	bench   string
	title   string
	columns []string
	notes   []string
	rows    []Row
	out     io.Writer
	doc     *string
}

// New returns a table whose first column is the row's name. It defines the flag -doc; flag.Parse is the caller's.
func New(bench, title string, columns ...string) *Table {
	doc := flag.String("doc", "", "write the table into this Markdown `file`, in place of the one of the last run")
	return &Table{bench: bench, title: title, columns: columns, out: os.Stdout, doc: doc}
}

// Add prints a row as JSON and keeps it. Values belong to the columns after the first.
func (t *Table) Add(name string, values ...any) {
	row := Row{Bench: t.bench, Name: name, Values: make(map[string]any)}
	for i, value := range values {
		row.Values[t.columns[i+1]] = value
	}
	t.rows = append(t.rows, row)
	line, err := json.Marshal(row)
	if err != nil {
		panic(err) // values are numbers and text
	}
	fmt.Fprintf(t.out, "%s\n", line)
}

// Note adds a sentence below the table.
func (t *Table) Note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Close prints the table as Markdown and writes it where -doc says.
func (t *Table) Close() error {
	text := t.markdown()
	fmt.Fprintf(t.out, "\n%s", text)
	if *t.doc == "" {
		return nil
	}
	return replace(*t.doc, t.bench, text)
}

func (t *Table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.title)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, row := range t.rows {
		cells := []string{row.Name}
		for _, column := range t.columns[1:] {
			cells = append(cells, cell(row.Values[column]))
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteByte('\n')
	for _, note := range append(t.notes, machine()) {
		fmt.Fprintf(&b, "%s\n", note)
	}
	return b.String()
}

func cell(value any) string {
	switch v := value.(type) {
	case nil:
		return "–"
	case float64:
		switch {
		case v >= 1000:
			return fmt.Sprintf("%.0f", v)
		case v >= 100:
			return fmt.Sprintf("%.1f", v)
		}
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprint(v)
	}
}

// machine says where and when the figures come from.
func machine() string {
	revision := "unknown" // outside a checkout
	if out, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty").Output(); err == nil {
		revision = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("Measured on %s, %s/%s with %d processors, %s, revision %s.",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), revision)
}

// replace puts a section of a page between its marks, at the end of the page if it has none.
func replace(path, section, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	begin, end := fmt.Sprintf("<!-- begin %s -->\n", section), fmt.Sprintf("<!-- end %s -->\n", section)
	before, rest, found := strings.Cut(string(page), begin)
	after := ""
	if found {
		if _, after, found = strings.Cut(rest, end); !found {
			return fmt.Errorf("report: %s: the section %s has no end", path, section)
		}
	} else {
		before += "\n"
	}
	if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Median returns the middle of the values, the mean of the middle two if their number is even. It is NaN-free: no
// values give 0.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Percentile returns the smallest value that at least p of 100 values do not exceed.
func Percentile(values []time.Duration, p int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
