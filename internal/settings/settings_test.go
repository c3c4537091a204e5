package settings

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the reference page")

func TestTheReferencePageIsMadeFromTheRegistry(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "config.md")
	page := New().Page()
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != page {
		t.Errorf("%s is not what the registry says; run go test ./internal/settings -update", path)
	}
}

func TestEveryRowIsComplete(t *testing.T) {
	flags, keys := map[string]bool{}, map[string]bool{}
	for _, s := range New().Settings() {
		if s.Doc == "" || keys[s.Key] || s.Flag != "" && flags[s.Flag] || (s.Type == Enum) != (len(s.Choices) > 0) {
			t.Errorf("row of %s: no doc, a key or flag twice, or choices without an enum", s.Key)
		}
		keys[s.Key], flags[s.Flag] = true, true
		if s.Section() != "" && s.Section()+"."+s.Name() != s.Key || s.Section() == "" && s.Name() != s.Key {
			t.Errorf("%s is cut into %q and %q", s.Key, s.Section(), s.Name())
		}
	}
}

func TestTheHigherSourceWinsInWhateverOrderTheyAreRead(t *testing.T) {
	file := []byte("fabric:\n  fanout: 5\n  probe_misses: 7\nslots:\n  listen: 127.0.0.1:1\n")
	environment := []string{"HOME=/", "EGAL_FABRIC_FANOUT=6", "EGAL_SLOTS_LISTEN=127.0.0.1:2", "EGAL_SERVICE_HOST=10.0.0.1", "EGAL_FABRIC_PORT=tcp://10.0.0.1:7946"}
	reads := map[string]func(*Values) error{
		"file":        func(v *Values) error { return v.ReadFile("egal.yaml", file) },
		"environment": func(v *Values) error { return v.ReadEnvironment(environment) },
		"flag": func(v *Values) error {
			return v.Set("slots.listen", "127.0.0.1:3", Origin{Source: FromFlag, Where: "--slots-listen"})
		},
	}
	for _, order := range [][]string{{"file", "environment", "flag"}, {"flag", "environment", "file"}, {"environment", "flag", "file"}} {
		v := New().Values()
		for _, source := range order {
			if err := reads[source](v); err != nil {
				t.Fatal(err)
			}
		}
		got := fmt.Sprint(v.Int("fabric.fanout"), v.Origin("fabric.fanout"), v.Int("fabric.probe_misses"), v.Origin("fabric.probe_misses"),
			v.String("slots.listen"), v.Origin("slots.listen"), v.String("fabric.listen"), v.Origin("fabric.listen"))
		want := "6environment EGAL_FABRIC_FANOUT7file egal.yaml:3127.0.0.1:3flag --slots-listen127.0.0.1:7946default"
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%v: got %s", order, got)
		}
	}
}

func TestAFaultSaysWhereWhatAndTheNearestKey(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"an unknown key", "fabric:\n  # the port\n  listn: 127.0.0.1:7946\n", "egal.yaml:3: fabric.listn: no such setting\nhint: did you mean fabric.listen?"},
		{"an unknown section", "farbic:\n  listen: 127.0.0.1:1\n", "egal.yaml:1: farbic: no such setting\nhint: `egal config show` lists all settings"},
		{"an unknown key like no other", "quux: 1\n", "egal.yaml:1: quux: no such setting\nhint: `egal config show` lists all settings"},
		{"a key twice", "name: a\nname: b\n", "egal.yaml:2: name: given twice, first in line 1"},
		{"a section twice", "web: {}\nweb: {}\n", "egal.yaml:2: web: given twice, first in line 1"},
		{"a number out of range", "fabric: {fanout: 17}\n", "egal.yaml:1: fabric.fanout: want 1 to 16"},
		{"a word for a number", "fabric: {fanout: many}\n", `egal.yaml:1: fabric.fanout: "many": want a whole number`},
		{"a duration without a unit", "fabric: {probe_interval: 200}\n", `egal.yaml:1: fabric.probe_interval: "200": want a duration such as 500ms or 2m`},
		{"yes for true", "insecure: yes\n", `egal.yaml:1: insecure: "yes": want true or false`},
		{"another word than the choices", "log_level: loud\n", `egal.yaml:1: log_level: "loud": want debug, info, warn, error`},
		{"an address without a port", "fabric: {listen: localhost}\n", `egal.yaml:1: fabric.listen: "localhost": want host:port`},
		{"a port too large", "fabric: {listen: 'localhost:65536'}\n", `egal.yaml:1: fabric.listen: "localhost:65536": want a port from 0 to 65535`},
		{"no value", "name:\n", "egal.yaml:1: name: no value\nhint: \"\" is the empty one"},
		{"a section for a value", "name: {a: 1}\n", "egal.yaml:1: name: want a value, not a section"},
		{"a list for a value", "name: [a]\n", "egal.yaml:1: name: want one value, not a list"},
		{"a value for a section", "fabric: 1\n", "egal.yaml:1: fabric: want the settings of this section below it"},
		{"a list in a list", "roles: [[a]]\n", "egal.yaml:1: roles: want plain items"},
		{"an alias", "name: &a x\nlocation: *a\n", "egal.yaml:1: name: anchors and aliases are not used here\negal.yaml:2: location: anchors and aliases are not used here"},
		{"a list as the file", "- a\n", "egal.yaml:1: want settings as key: value"},
		{"two documents", "name: a\n---\nname: b\n", "egal.yaml: more than one YAML document"},
		{"no YAML", "name: [\n", "egal.yaml: line 1: did not find expected node content"},
		{"brackets without end", strings.Repeat("[", maxNesting+1), "egal.yaml:1: nested deeper than 256 levels or blanks"},
		{"dashes without end", "\n" + strings.Repeat("- ", maxNesting), "egal.yaml:2: nested deeper than 256 levels or blanks"},
		{"a control character", "name: \"a\\0b\"\n", "egal.yaml:1: name: it has characters that cannot be printed"},
		{"two faults", "nam: a\nwbe: {}\n", "egal.yaml:1: nam: no such setting\nhint: did you mean name?\negal.yaml:2: wbe: no such setting\nhint: `egal config show` lists all settings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := New().Values().ReadFile("egal.yaml", []byte(test.file))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAtMostFiftyFaultsOfAFileAreNamed(t *testing.T) {
	for faults, want := range map[int]int{maxFaults: maxFaults, maxFaults + 1: maxFaults + 1, maxFaults + 9: maxFaults + 1} {
		err := New().Values().ReadFile("f", []byte("name: a\n"+strings.Repeat("name: a\n", faults)))
		if got := strings.Count(err.Error(), "\n") + 1; got != want {
			t.Errorf("%d faults: %d lines", faults, got)
		}
	}
}

func TestAMisspelledVariableIsAFault(t *testing.T) {
	err := New().Values().ReadEnvironment([]string{"EGAL_FABRIC_LISTN=x", "EGAL_FABRIC_FANOUT=0", "EGAL_DAT=x"})
	want := "EGAL_FABRIC_LISTN: no setting has this variable\nhint: did you mean EGAL_FABRIC_LISTEN?\n" +
		"EGAL_FABRIC_FANOUT: fabric.fanout: want 1 to 16\n" +
		"EGAL_DAT: no setting has this variable\nhint: did you mean EGAL_DATA?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if fault := (*Fault)(nil); !errors.As(err, &fault) {
		t.Error("it is no Fault")
	}
}

func TestWhatIsValidIsTakenBesideFaults(t *testing.T) {
	v := New().Values()
	if err := v.ReadFile("f", []byte("nonsense: 1\nroles: [a, b]\nfabric: {seeds: 'x:1, y:2'}\nweb: {listen: '', max_body: 1MiB}\n")); err == nil {
		t.Error("no fault")
	}
	if !slices.Equal(v.List("roles"), []string{"a", "b"}) || !slices.Equal(v.List("fabric.seeds"), []string{"x:1", "y:2"}) ||
		v.String("web.listen") != "" || v.Int("web.max_body") != 1<<20 || v.Text("web.max_body") != "1MiB" {
		t.Errorf("got %v", v.values)
	}
}

func TestAFileIsAtMostOneMebibyte(t *testing.T) {
	line := "name: a # "
	file := line + strings.Repeat("x", MaxFileBytes-len(line))
	if err := New().Values().ReadFile("f", []byte(file)); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if err := New().Values().ReadFile("f", []byte(file+"x")); err == nil {
		t.Error("above the bound: no fault")
	}
}

func TestBoundsOfValues(t *testing.T) {
	list, _ := New().Find("roles")
	name, _ := New().Find("name")
	tests := []struct {
		name    string
		setting Setting
		text    string
		ok      bool
	}{
		{"a value of 4096 bytes", name, strings.Repeat("x", maxValueBytes), true},
		{"a value of 4097 bytes", name, strings.Repeat("x", maxValueBytes+1), false},
		{"a list of 256 items", list, strings.Repeat("x,", maxListItems-1) + "x", true},
		{"a list of 257 items", list, strings.Repeat("x,", maxListItems) + "x", false},
		{"an empty list", list, "", true},
		{"an empty item", list, "a,,b", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.setting.parse(test.text); (err == nil) != test.ok {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestSizesHaveUnitsOf1024(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "7B": 7, "512KiB": 512 << 10, "10MiB": 10 << 20, "1 GiB": 1 << 30, "3TiB": 3 << 40, "8388607TiB": 8388607 << 40} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "1MB", "8388608TiB", "9223372036854775808"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestTextIsReadBackAsTheSameValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<60).Draw(t, "n")
		if got, err := parseBytes(formatBytes(n)); err != nil || got != n {
			t.Fatalf("%d is written %s and read %d, %v", n, formatBytes(n), got, err)
		}
		d := time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(time.Minute)).Draw(t, "d"))
		v := New().Values()
		if err := v.Set("fabric.probe_interval", format(d), Origin{Source: FromFlag}); err != nil || v.Duration("fabric.probe_interval") != d {
			t.Fatalf("%v: %v", d, err)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"status", "start", "version", "demo"}
	for word, want := range map[string]string{"stauts": "status", "stat": "start", "STATUS": "status", "vrsion": "version", "demoo": "demo", "x": "", "frobnicate": "", strings.Repeat("s", 100): ""} {
		if got, _ := Nearest(word, words); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{"fabric:\n  listen: 127.0.0.1:1\n  seeds: [a:1, b:2]\n", "name: &a [*a]\n", "a: {b: {c: 1}}", "? - - -", "%YAML 1.1\n---\n!!binary x", "\xff\xfe", "- |\n x\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		v := New().Values()
		if err := v.ReadFile("f", content); err != nil && err.Error() == "" {
			t.Error("a fault without words")
		}
		for _, s := range New().Settings() {
			if _, err := s.parse(v.Text(s.Key)); err != nil {
				t.Errorf("%s was taken as %q: %v", s.Key, v.Text(s.Key), err)
			}
		}
	})
}
