package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// TestScenarios tells the stories of testdata. Machines are numbered from 1. The commands are
//
//	new initial=N            a new world whose nodes wait for N of them
//	add [N]                  N machines appear
//	run DURATION             time passes
//	crash I [forgetful]      a machine stops; forgetful: it loses its keys and what it said of itself
//	start I                  it comes back
//	leave I                  it stops and is no member any more
//	part I ...               these machines are cut off from the others
//	heal                     no machine is
//	write SLOT               a client stores a key, where the slot is served
//	erase SLOT               a client deletes it
//	tables                   who sees what, equal tables once
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		if strings.Contains(path, "fuzz") {
			return
		}
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			if d.Cmd == "new" {
				initial := 0
				d.ScanArgs(t, "initial", &initial)
				w = newWorld(1, initial)
				return ""
			}
			return w.command(t, d)
		})
	})
}

func (w *world) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	numbers := make([]int, 0, len(d.CmdArgs))
	for _, argument := range d.CmdArgs {
		if n, err := strconv.Atoi(argument.Key); err == nil {
			numbers = append(numbers, n)
		}
	}
	first := 1
	if len(numbers) > 0 {
		first = numbers[0]
	}
	switch d.Cmd {
	case "add":
		for range first {
			w.add()
		}
	case "run":
		span, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		w.run(span)
	case "crash":
		w.crash(w.machines[first-1], !d.HasArg("forgetful"))
	case "start":
		w.start(w.machines[first-1])
	case "leave":
		m := w.machines[first-1]
		delete(w.members, m.id)
		w.crash(m, false)
	case "part":
		w.part(func(i int) bool { return slices.Contains(numbers, i+1) })
	case "heal":
		w.heal()
	case "write", "erase":
		return w.client(d.Cmd, keyspace.Slot(first))
	case "tables":
		return w.tables()
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	return strings.Join(w.faults, "\n")
}

// client does what a client does to one slot.
func (w *world) client(verb string, slot keyspace.Slot) string {
	for _, m := range w.machines {
		if !m.alive || !m.serves.Has(slot) {
			continue
		}
		if verb == "write" {
			m.keys.Add(slot)
		} else {
			m.keys.Remove(slot)
		}
		return fmt.Sprintf("at %d\n", m.index+1)
	}
	return "not served\n"
}

// tables prints what the machines see, those that see the same together.
func (w *world) tables() string {
	var texts []string
	seers := map[string][]string{}
	for _, m := range w.machines {
		if !m.alive {
			continue
		}
		text := fmt.Sprintf("%d of 16384 served\n", m.core.Table().ServedSlots())
		for _, n := range m.core.Table().Nodes() {
			text += fmt.Sprintf("  %d epoch %d:", n.ID.Node[1], n.Epoch)
			for _, r := range n.Ranges {
				text += " " + r.String()
			}
			if !n.Reachable {
				text += " (unreachable)"
			}
			text += "\n"
		}
		if seers[text] == nil {
			texts = append(texts, text)
		}
		seers[text] = append(seers[text], strconv.Itoa(m.index+1))
	}
	var b strings.Builder
	for _, text := range texts {
		b.WriteString(strings.Join(seers[text], " ") + ": " + text)
	}
	return b.String()
}
